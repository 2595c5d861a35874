import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Checked, Context } from '../core/module.ts';
import { MATCHES } from './_password-match.ts';
import { lastWords } from './_sh.ts';
import { zUserName } from './_user.ts';

/** More than 511 bytes no crypt(3) takes. */
const MOST_BYTES = 511;

const params = z.strictObject({
  user: zUserName.describe('The user, who exists already.'),
  password: z
    .string()
    .min(1)
    .regex(/^[^\r\n]*$/, { error: 'must be one line' })
    .refine((text) => Buffer.byteLength(text) <= MOST_BYTES, { error: `has at most ${MOST_BYTES} bytes` })
    .describe('The password. It travels by standard input only.')
    .meta({ secret: true }),
});
type Given = z.output<typeof params>;

/** What the node says of the password, and what the change is called; undefined where it is as wanted. */
const BEFORE: Readonly<Record<string, string | undefined>> = {
  same: undefined,
  other: 'another',
  none: 'none',
  locked: 'locked',
};

async function check(ctx: Context, { user, password }: Given): Promise<Checked> {
  const said = await ctx.sh(MATCHES, { args: [user], stdin: password, isLook: true });
  const word = said.stdout.trim();
  const node = ctx.host.name;
  if (word === 'closed')
    throw new StepFailed(`cannot read /etc/shadow of ${node}`, {}, { hint: 'become: true' });
  if (word === 'unknown') throw new StepFailed(`${node} has no user ${user}`);
  if (word === 'elsewhere')
    throw new StepFailed(`${user} has no password on ${node} itself: /etc/shadow does not know that user`);
  if (!Object.hasOwn(BEFORE, word))
    throw new StepFailed(
      `whether the password of ${user} is the one given cannot be told on ${node}${said.code === 0 ? '' : `: ${lastWords(said)}`}`,
      {},
      { hint: 'perl or python3 on the node can tell' },
    );
  const before = BEFORE[word];
  return {
    changes: before === undefined ? [] : [{ what: `password of ${user}`, before, after: 'the one given' }],
    result: { user },
  };
}

const CHANGE = `PATH=$PATH:/usr/sbin:/sbin
{ printf '%s:' "$1"; cat; echo; } | chpasswd`;

export default state({
  summary: 'A user of the node has this password; it is compared with what /etc/shadow keeps of it.',
  source: 'shadow(5), crypt(3), chpasswd(8)',
  params,
  examples: `
- name: Pacemaker's user has its password
  user_password: { user: hacluster, password: '{{inputs.hacluster_password}}' }
`,
  returns: { user: z.string().meta({ isLasting: true }).describe('the user') },
  check,
  async apply(ctx, { user, password }) {
    const said = await ctx.job(CHANGE, { args: [user], stdin: password });
    if (said.code !== 0)
      throw new StepFailed(
        `the password of ${user} was not changed: ${lastWords(said) || `exit code ${said.code}`}`,
      );
    return undefined;
  },
});
