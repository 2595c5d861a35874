import { z } from 'zod';
import { durationText, zDuration } from '../../core/duration.ts';
import { DrillbookError, StepFailed } from '../../core/error.ts';
import type { DialogueResult } from '../../core/host.ts';
import type { Context, Outcome, Result } from '../../core/module.ts';
import { action } from '../../core/module.ts';
import type { Hactl } from './_hactl-status.ts';
import { parseHactl } from './_hactl-status.ts';
import { programs } from './_paths.ts';

const params = z.strictObject({
  command: z
    .enum(['status', 'enable', 'disable', 'promote', 'demote', 'approve'])
    .describe('What hactl shall do; `enable` and `disable` are about automatic failover'),
  event: z
    .enum(['MASTER', 'BACKUP', 'FAULT', 'STOP'])
    .optional()
    .describe('approve: the state that keepalived has come to'),
  wait: zDuration.default(30_000).describe('How long the node may take to be as the command leaves it'),
});
type Params = z.output<typeof params>;

async function look(ctx: Context): Promise<Hactl> {
  const { code, stdout, stderr } = await ctx.sh('exec "$1" status', {
    args: [`${programs(ctx)}/hactl`],
    isLook: true,
  });
  if (code === 0) return parseHactl(stdout);
  const isMissing = code === 126 || code === 127;
  throw new StepFailed(
    isMissing
      ? `${ctx.host.name} has no hactl: DBackup is not installed`
      : `hactl on ${ctx.host.name} says: ${stderr.trim() || stdout.trim()}`,
    { code },
    {
      hint: isMissing
        ? 'install it first (playbook install)'
        : 'build the cluster first (playbook cluster-build)',
    },
  );
}

/** What `register` gets. */
function resultOf({ role, failover, fields, problems }: Hactl, output?: string): Result {
  const vips = Object.entries(fields).filter(([key]) => key.startsWith('vip '));
  return {
    role,
    failover,
    state: fields['state'] ?? 'unknown',
    backupd: fields['backupd'] ?? 'unknown',
    database: fields['database'] ?? 'unknown',
    keepalived: fields['keepalived'] ?? 'unknown',
    replication: fields['replication'] ?? 'unknown',
    vips: Object.fromEntries(vips.map(([key, value]) => [key.slice('vip '.length), value])),
    fields,
    problems,
    ...(output === undefined ? {} : { output }),
  };
}

const areVips = (now: Hactl, word: string): boolean =>
  Object.entries(now.fields).every(([key, value]) => !key.startsWith('vip ') || value === word);

/** What each command leaves behind; 5.3.2: after a promotion the role is Primary, backupd runs, the VIP is mounted. */
const REACHED: Readonly<Record<string, (now: Hactl) => boolean>> = {
  enable: ({ failover }) => failover === 'enabled',
  disable: ({ failover }) => failover === 'disabled',
  promote: (now) => now.role === 'primary' && now.fields['backupd'] === 'running' && areVips(now, 'mounted'),
  demote: (now) => now.role === 'standby' && areVips(now, 'not mounted'),
};

/** Nothing is left to do; a primary whose VIP is still on its way is not promoted once more. */
const DONE: Readonly<Record<string, (now: Hactl) => boolean>> = {
  ...REACHED,
  promote: ({ role }) => role === 'primary',
  demote: ({ role }) => role === 'standby',
};

async function untilReached(ctx: Context, { command, wait }: Params): Promise<Hactl> {
  const isReached = REACHED[command] ?? (() => true);
  const end = Date.now() + wait;
  for (let delay = 100; ; delay = Math.min(delay * 1.5, 1000)) {
    const now = await look(ctx);
    if (isReached(now)) return now;
    if (Date.now() >= end)
      throw new StepFailed(
        `${durationText(wait)} after \`hactl ${command}\` ${ctx.host.name} is not there: ${seen(now)}`,
        resultOf(now),
        {
          hint: now.problems[0] ?? 'see /var/log/dbackup3/hactl.log there',
        },
      );
    await new Promise((resolve) => setTimeout(resolve, delay));
    ctx.signal.throwIfAborted();
  }
}

const seen = ({ role, failover, fields }: Hactl): string => {
  const rest = Object.entries(fields).filter(
    ([key]) => ['backupd', 'keepalived'].includes(key) || key.startsWith('vip '),
  );
  return [`role ${role}`, `failover ${failover}`, ...rest.map(([key, value]) => `${key} ${value}`)].join(
    ', ',
  );
};

async function wouldChange(ctx: Context, { command }: Params): Promise<boolean> {
  if (command === 'status' || command === 'approve') return false;
  try {
    return DONE[command]?.(await look(ctx)) !== true;
  } catch (error) {
    // Before there is a cluster nothing is as the command leaves it.
    if (error instanceof StepFailed) return true;
    throw error;
  }
}

/**
 * Tells hactl; undefined where nobody heard how that ended, and the node is as the command leaves it. A second command
 * does no harm, so one that was lost short of that is given once more.
 */
async function tell(ctx: Context, { command, event }: Params): Promise<DialogueResult | undefined> {
  const words = [`${programs(ctx)}/hactl`, command, ...(event === undefined ? [] : [event])];
  const line = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  // hactl asks before promote and demote alone; the words are those of section 6.
  const answers = [{ prompt: /continue\s*\?\s*\[y\/N\]\s*:\s*$/, answer: 'y', isOptional: true }];
  try {
    return await ctx.dialogue(line, answers);
  } catch (error) {
    const isLost = error instanceof DrillbookError && error.code === 'doubt.lost';
    if (!isLost || command === 'approve') throw error;
    if (DONE[command]?.(await look(ctx)) === true) return undefined;
    return ctx.dialogue(line, answers, { isRepeatable: true });
  }
}

async function run(ctx: Context, params: Params): Promise<Outcome> {
  const { command, event } = params;
  if (command === 'approve' && event === undefined)
    throw new StepFailed('approve needs `event`: the state keepalived has come to');
  if (command === 'status') return { result: resultOf(await look(ctx)), isChanged: false };
  const before = await ctx.keep('before', () => look(ctx));
  if (DONE[command]?.(before) === true) {
    const now = await untilReached(ctx, params);
    return { result: { ...resultOf(now), note: `nothing to do: ${seen(now)}` }, isChanged: false };
  }
  const { code, output } = (await tell(ctx, params)) ?? { code: 0, output: '' };
  if (code !== 0) {
    const last = output.trim().split('\n').at(-1) ?? '';
    throw new StepFailed(
      `hactl ${command} on ${ctx.host.name} failed: ${last.replace(/^.*?\b\w+ failed: /, '')}`,
      { code, output },
      {
        hint: /replication|resync/i.test(last) ? 'resync first (playbook resync)' : undefined,
      },
    );
  }
  return { result: resultOf(await untilReached(ctx, params), output), isChanged: command !== 'approve' };
}

export default action({
  summary: 'Runs hactl: looks first, answers its question, and waits until the node is as wanted',
  source: 'DBackup HA guide V8.0-9, 5.3 and 6',
  params,
  shorthand: 'command',
  examples: `
- name: Automatic failover is off
  dbackup.hactl: disable
- name: Nobody takes over until the end of the play
  dbackup.hactl: disable
  undo: { dbackup.hactl: enable }
- name: This node becomes primary
  dbackup.hactl: { command: promote, wait: 1m }
`,
  returns: {
    role: z.enum(['primary', 'standby', 'unknown']).describe('Role of the node'),
    failover: z.enum(['enabled', 'disabled', 'unknown']).describe('Automatic failover'),
    state: z.string().describe('State of the cluster as hactl says it'),
    backupd: z.string().describe('running, standby, stopped or unknown'),
    database: z.string().describe('writable, read-only, offline or unknown'),
    keepalived: z.string().describe('running, stopped or unknown'),
    replication: z.string().describe('normal or unknown'),
    vips: z.record(z.string(), z.string()).describe('VIP → mounted or not mounted'),
    fields: z.record(z.string(), z.string()).describe('Every line of hactl status'),
    problems: z.array(z.string()).describe('What hactl complains of'),
    note: z.string().optional().describe('Why nothing was done'),
    output: z.string().optional().describe('What hactl printed'),
  },
  isResumable: true,
  run,
  wouldChange,
  obligation({ command }) {
    const scope = 'cluster';
    if (command === 'enable') return { scope, closes: 'failover-disabled' };
    if (command !== 'disable') return undefined;
    return { scope, opens: 'failover-disabled', message: 'automatic failover is off' };
  },
});
