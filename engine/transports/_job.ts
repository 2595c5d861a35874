import { StepFailed } from '../core/error.ts';
import type { Become, JobEnd, JobId, JobOptions } from '../core/host.ts';
import { newMarker } from './_frame.ts';
import { attachFrame } from './_job-attach.ts';
import { folderOf, SAYS } from './_job-claim.ts';
import { isMaimed, STAGE_SCRIPT, startFrame } from './_job-frame.ts';
import type { JobParts } from './_job-frame.ts';
import { KILL_JOB_SCRIPT } from './_kill-job.ts';
import { bytesOf, isInline } from './_session.ts';
import type { RawOptions, Session } from './_session.ts';
import type { Exchange, Shell } from './_shell.ts';

type OnBytes = (bytes: Buffer) => void;

/** Output that is followed is asked for this long after the beginning: most commands have ended by then. */
const FOLLOW_MS = 500;
/** Seconds between two looks of a shell that waits for a job. */
const PATIENT = [0.1, 0.5] as const;

/** The folder of jobs that a shell knows; a shell's own variables hold it. */
const known = new WeakMap<Shell, string>();

/** Ends a job, and what `shell` does to begin it. */
const killer =
  (session: Session, id: JobId, become: Become | undefined) =>
  async (shell: number | undefined): Promise<void> => {
    const args = [folderOf(id), id.key, String(shell ?? '')];
    await session.exchange(KILL_JOB_SCRIPT, { args, become, lane: 'killer' });
  };

/** Waits for a job and takes its output as it grows. */
export const attach = (
  session: Session,
  id: JobId,
  { become, signal, onBytes, lane }: RawOptions,
  pauses: readonly [number, number] = PATIENT,
): Promise<Exchange> =>
  session.perform((shell, marker) => shell.run(attachFrame(id, pauses, marker), marker, onBytes), {
    become,
    signal,
    lane,
    kill: killer(session, id, become),
  });

/** Begins a job and waits for it; `SAYS.taken` where it had begun already. */
export const start = (
  session: Session,
  id: JobId,
  parts: JobParts,
  { become, signal, onBytes }: RawOptions,
): Promise<Exchange> =>
  session.perform(
    async (shell, marker) => {
      const folder = folderOf(id);
      const run = (isKnown: boolean): Promise<Exchange> =>
        shell.run(startFrame(id, parts, isKnown, marker), marker, onBytes);
      const isKnown = known.get(shell) === folder;
      known.set(shell, folder);
      const begun = await run(isKnown);
      if (begun.code !== SAYS.notBegun) return begun;
      known.delete(shell);
      // The folder may have been removed since.
      return isKnown ? run(false) : begun;
    },
    { become, signal, guards: parts.guards, kill: killer(session, id, become) },
  );

/** Sends an input too big for a frame ahead; returns the nonce it is known by. */
async function stage(session: Session, id: JobId, bytes: Buffer, options: RawOptions): Promise<string> {
  const nonce = newMarker();
  const args = [folderOf(id), `${id.key}.in.${nonce}`, String(bytes.length), `${id.key}.pid`];
  const { become, signal } = options;
  const said = await session.exchange(STAGE_SCRIPT, { args, stdin: bytes, become, signal });
  if (said.code !== 0) throw notBegun(session, said);
  return nonce;
}

/** Passes on of two sources of the same bytes what neither has brought before. */
function merging(onBytes: OnBytes): () => OnBytes {
  let passed = 0;
  return () => {
    let came = 0;
    return (bytes) => {
      const fresh = bytes.subarray(Math.max(0, passed - came));
      came += bytes.length;
      if (fresh.length === 0) return;
      passed = came;
      onBytes(fresh);
    };
  };
}

/** See `Transport.job`. */
export async function runJob(
  session: Session,
  id: JobId,
  script: string,
  mode: JobOptions['mode'],
  options: RawOptions,
): Promise<JobEnd<Exchange>> {
  if (mode === 'attach') return jobEnd(session, await attach(session, id, options));
  const { guards, args, env, become, onBytes } = options;
  const bytes = bytesOf(options.stdin);
  const input = isInline(bytes)
    ? { stdin: bytes.toString() }
    : { staged: await stage(session, id, bytes, options) };
  const source = onBytes && merging(onBytes);
  const follow = (): void =>
    void attach(session, id, { become, onBytes: source?.(), lane: 'follower' }).catch(() => undefined);
  const timer = source && setTimeout(follow, FOLLOW_MS);
  const parts = { guards, script, args, env, ...input };
  const begun = await start(session, id, parts, { ...options, onBytes: source?.() }).finally(() =>
    clearTimeout(timer),
  );
  // Who ends its own shell leaves nobody to say so: what it has written tells.
  if (begun.code !== SAYS.taken && begun.isCut !== true && !isMaimed(begun)) return jobEnd(session, begun);
  return jobEnd(session, await attach(session, id, { ...options, onBytes: source?.() }));
}

export function notBegun({ carrier, redactor }: Session, { stderr }: Exchange): StepFailed {
  const said = redactor.text(stderr.toString().trim().split('\n').at(-1) ?? '');
  return new StepFailed(
    `no job can be begun on ${carrier.host}: ${said || 'its standard input did not arrive whole'}`,
  );
}

/** What an exchange of a job means. */
export function jobEnd(session: Session, said: Exchange): JobEnd<Exchange> {
  const output = said.stdout.toString() + said.stderr.toString();
  switch (said.code) {
    case SAYS.absent:
      return { kind: 'absent' };
    case SAYS.killed:
      return { kind: 'lost', reason: 'killed', output };
    case SAYS.rebooted:
      return { kind: 'lost', reason: 'rebooted', output };
    case SAYS.notBegun:
      throw notBegun(session, said);
    default:
      return { kind: 'ended', result: said };
  }
}
