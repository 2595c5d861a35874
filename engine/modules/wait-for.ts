import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { Unreachable } from '../core/error.ts';
import type { Context } from '../core/module.ts';
import { query } from '../core/module.ts';
import { durationText, zDuration } from '../core/duration.ts';
import { zPath } from './_file.ts';
import { lastWords } from './_sh.ts';

const params = z
  .strictObject({
    port: z.coerce.number().int().min(1).max(65535).optional().describe('TCP port, tried from the node.'),
    host: z.string().default('127.0.0.1').describe('Whose port, as the node sees it (default 127.0.0.1).'),
    path: zPath.optional().describe('File or directory on the node.'),
    search_regex: z
      .string()
      // grep takes minutes to make ready one of a megabyte.
      .max(10_000)
      .optional()
      .describe(
        'Extended regular expression (grep -E) that a line of `path` must match; of 10000 characters at most.',
      ),
    sh: z.string().optional().describe('Shell text that must succeed.'),
    state: z
      .enum(['started', 'stopped', 'present', 'absent'])
      .default('started')
      .describe('started, present: open, there, succeeding; stopped, absent: not so (default started).'),
    timeout: zDuration.default(300_000).describe('How long to wait at most, as 10s or 5m (default 5m).'),
    interval: zDuration.default(1000).describe('Pause between two looks (default 1s).'),
    delay: zDuration.default(0).describe('Pause before the first look (default 0).'),
    msg: z.string().optional().describe('What to say when the time is up.'),
  })
  .refine(({ port, path, sh }) => [port, path, sh].filter((one) => one !== undefined).length === 1, {
    error: 'give one of `port`, `path` and `sh`',
  })
  .refine((given) => given.search_regex === undefined || given.path !== undefined, {
    error: '`search_regex` goes with `path`',
  });

type Given = z.output<typeof params>;

/** Whether it is so now, and what is to be said of it. */
interface Seen {
  readonly isThere: boolean;
  readonly words: string;
}

async function dial(ctx: Context, host: string, port: number): Promise<Seen> {
  try {
    const stream = await ctx.dial({ host, port });
    stream.on('error', () => undefined);
    stream.destroy();
    return { isThere: true, words: 'open' };
  } catch (error) {
    if (error instanceof Unreachable) throw error;
    return { isThere: false, words: (error as Error).message };
  }
}

const SEARCH = `
[ -e "$1" ] || [ -L "$1" ] || { echo 'not there' >&2; exit 1; }
[ -z "$2" ] || printf '%s\\n' "$2" | grep -Eq -f /dev/stdin -- "$1" || { code=$?; [ "$code" -gt 1 ] && exit 3; echo 'no line matches' >&2; exit 1; }`;

async function look(ctx: Context, given: Given): Promise<Seen & { readonly isHopeless?: boolean }> {
  if (given.port !== undefined) return dial(ctx, given.host, given.port);
  const said =
    given.sh === undefined
      ? await ctx.sh(SEARCH, { args: [given.path ?? '', given.search_regex ?? ''] })
      : await ctx.sh(given.sh);
  return {
    isThere: said.code === 0,
    words: lastWords(said) || `exit code ${said.code}`,
    isHopeless: given.sh === undefined && said.code === 3,
  };
}

const subject = (given: Given): string =>
  given.port !== undefined ? `port ${given.port} of ${given.host}` : (given.path ?? `\`${given.sh}\``);

export default query({
  summary: 'Waits until a port is open, a file is there or a command succeeds, or until they are not.',
  source: 'connect(2), stat(1), grep(1)',
  params,
  examples: `
- wait_for: { port: 3306, timeout: 2m }
- wait_for: { path: /var/log/mysql/error.log, search_regex: 'ready for connections' }
- wait_for: { sh: 'systemctl is-active --quiet keepalived', state: absent, timeout: 30s }
`,
  returns: {
    elapsed: z.number().describe('seconds it took'),
    attempts: z.int().describe('how many looks'),
    state: z.string().describe('what was seen last'),
  },
  inHaste: (given) => ({ ...given, timeout: 0, delay: 0 }),
  async read(ctx, given) {
    const wantsThere = given.state === 'started' || given.state === 'present';
    const start = performance.now();
    if (given.delay > 0) await pause(given.delay, undefined, { signal: ctx.signal });
    let told = '';
    for (let attempts = 1; ; attempts++) {
      const seen = await look(ctx, given);
      const elapsed = performance.now() - start;
      const result = { elapsed: Math.round(elapsed) / 1000, attempts, state: seen.words };
      if (seen.isHopeless === true)
        return { result, failed: `cannot look for ${subject(given)}: ${seen.words}` };
      if (seen.isThere === wantsThere) return { result };
      if (elapsed + given.interval > given.timeout) {
        const what = `${subject(given)} is not ${given.state} after ${durationText(given.timeout)} (${seen.words})`;
        return { result, failed: given.msg === undefined ? what : `${given.msg} (${what})` };
      }
      if (seen.words !== told) ctx.progress(`waiting for ${subject(given)}: ${seen.words}`);
      told = seen.words;
      await pause(given.interval, undefined, { signal: ctx.signal });
    }
  },
});
