import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import type { Context } from '../core/module.ts';
import { lastWords } from './_sh.ts';

/** A name as useradd(8) and groupadd(8) take it. */
export const zUserName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,30}[A-Za-z0-9_.$-]?$/, {
  error: 'must be a name of at most 32 letters, digits, `_`, `.` and `-`, no digit first',
});

/** A number that is nobody's special one. */
export const zId = z
  .int()
  .min(0)
  .max(4_294_967_294)
  .refine((id) => id !== 65_535, { error: 'no user or group may have 65535' });

const ACT = `PATH=$PATH:/usr/sbin:/sbin
command -v "$1" >/dev/null || exit 127
"$@"`;

/** Runs useradd and the like. */
export async function account(ctx: Context, what: string, words: readonly string[]): Promise<void> {
  const said = await ctx.job(ACT, { args: words });
  if (said.code === 0) return;
  const missing = `${words[0]} is not installed on ${ctx.host.name}`;
  throw new StepFailed(
    `${what}: ${said.code === 127 ? missing : lastWords(said) || `exit code ${said.code}`}`,
    { code: said.code, stderr: said.stderr },
    { hint: said.code === 127 ? 'package passwd, shadow or shadow-utils' : undefined },
  );
}
