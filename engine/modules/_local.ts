import { StepFailed } from '../core/error.ts';
import type { Context } from '../core/module.ts';

/** The content of a file of the jump host that a parameter names. */
export async function readLocal(ctx: Context, name: string): Promise<Uint8Array> {
  const path = ctx.local(name);
  return ctx.read(path).catch((cause: unknown) => cannotRead(path, cause));
}

/** A template of the jump host that a parameter names, with the task's variables in it. */
export const renderLocal = async (ctx: Context, name: string): Promise<string> =>
  ctx.render(Buffer.from(await readLocal(ctx, name)).toString(), name);

export function cannotRead(path: string, cause: unknown): never {
  const why = (cause as Error).message.replace(/, \w+( '[\s\S]*')?$/, '');
  throw new StepFailed(`cannot read ${path} on the jump host: ${why}`, {}, { cause });
}
