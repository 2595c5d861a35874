import { StepFailed } from '../core/error.ts';
import type { Become, Transport } from '../core/host.ts';
import { hostWord, READ_CLAIM } from './_job-claim.ts';
import { END_CLAIMED } from './_kill-job.ts';

/** What is on a host of a job. */
export interface RemoteJob {
  readonly run: string;
  /** The host as the inventory of the run names it. */
  readonly host: string;
  readonly key: string;
  readonly state: 'running' | 'ended' | 'lost';
  /** Exit code of one that ended. */
  readonly code: number | null;
  /** When it began, or when it ended (ISO 8601). */
  readonly since: string;
  /** Whom it runs as. */
  readonly user: string;
}

export interface JobsOptions {
  /** Root sees the jobs of all users, others their own. */
  readonly become?: Become | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The roots of jobs, each given to `visit` ($root). Those below /var/tmp belong to users who may put anything there: no
 * link is followed, and no name is taken that is not ours.
 */
const ROOTS = `${READ_CLAIM}
roots() {
  for root in /var/lib/drillbook /var/tmp/drillbook-*; do
    [ -d "$root/jobs" ] && [ ! -h "$root" ] && [ ! -h "$root/jobs" ] && visit
  done
}
isOurs() {
  case \${1#"$root"} in *[!A-Za-z0-9._%/-]*) return 1 ;; esac
  [ ! -h "$1" ] && [ ! -h "\${1%/*}" ]
}
# A claim in a user's folder speaks for processes of that user only.
isTheirs() {
  [ "$root" = /var/lib/drillbook ] && return
  while read -r name own rest; do
    [ "$name" = Uid: ] && [ "$own" = "\${root##*-}" ] && return
  done 2>/dev/null <"/proc/$1/status"
  return 1
}
isRunning() {
  [ -h "$job.pid" ] || [ ! -f "$job.pid" ] && return 1
  claim
  case $code in '' | *[!0-9]*) ;; *) return 1 ;; esac
  [ "$boot" = "$here" ] || return 1
  if isAlive "$shell" "$start"; then isTheirs "$shell"; else isAlive "$sub" "$begun" && isTheirs "$sub"; fi
}
`;

// $1 a run or `*`.
const LIST_SCRIPT = `${ROOTS}
run=$1
visit() {
  for file in "$root"/jobs/$run/*/*.pid; do
    isOurs "$file" && isOurs "\${file%/*}" && [ -f "$file" ] && echo "$file"
  done | xargs stat -c '%Y %U %n' 2>/dev/null | while read -r seconds user file; do
    job=\${file%.pid} state=lost
    if isRunning; then state=running; else case $code in '' | *[!0-9]*) ;; *) state=ended ;; esac; fi
    echo "\${job#"$root/jobs/"} $state \${code:--} $seconds $user"
  done
}
roots
`;

/** The jobs that a host still has, of one run or of all. */
export async function listJobs(
  transport: Transport,
  { run: only = '*', ...options }: JobsOptions & { readonly run?: string | undefined } = {},
): Promise<readonly RemoteJob[]> {
  const { stdout } = await transport.sh(LIST_SCRIPT, { ...options, args: [only] });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [path = '', state, code, seconds = '', user = ''] = line.split(' ');
      const [run = '', host = '', key = ''] = path.split('/');
      return {
        run,
        host: decodeURIComponent(host),
        key,
        state: state === 'running' || state === 'ended' ? state : 'lost',
        code: state === 'ended' ? Number(code) : null,
        since: new Date(Number(seconds) * 1000).toISOString(),
        user,
      };
    });
}

// $1 run, $2 host or `*`, $3 `stop` or empty.
const REMOVE_SCRIPT = `${ROOTS}${END_CLAIMED}
run=$1 host=$2 how=$3
visit() {
  for folder in "$root/jobs/$run"/$host; do
    [ -d "$folder" ] && isOurs "$folder" && empty
  done
}
empty() {
  busy=
  for file in "$folder"/*.pid; do
    job=\${file%.pid}
    isRunning || continue
    if [ "$how" = stop ]; then
      endClaimed
      tries=0
      # Its shell writes down how it ended.
      while isRunning && [ "$tries" -lt 30 ]; do
        sleep 0.1 2>/dev/null || sleep 1
        tries=$((tries + 1))
      done
      isRunning || continue
    fi
    busy=1
    echo "running \${job#"$root/jobs/"}"
  done
  [ -z "$busy" ] || return
  for file in "$folder"/*.pid; do [ -e "$file" ] && echo removed; done
  rm -rf "$folder"
  rmdir "\${folder%/*}" 2>/dev/null
}
roots
exit 0
`;

export interface Removed {
  /** How many jobs are no more. */
  readonly count: number;
  /** What still runs, `HOST/KEY`; all jobs beside one are left. */
  readonly running: readonly string[];
}

/** Takes a run's jobs off a host, of one host name or of all; those that run only with `stop`, which ends them first. */
export async function removeJobs(
  transport: Transport,
  run: string,
  {
    host,
    isStop = false,
    ...options
  }: JobsOptions & { readonly host?: string; readonly isStop?: boolean } = {},
): Promise<Removed> {
  const args = [run, host === undefined ? '*' : hostWord(host), isStop ? 'stop' : ''];
  const { stdout, stderr } = await transport.sh(REMOVE_SCRIPT, { ...options, args });
  const lines = stdout.split('\n');
  if (stderr !== '') throw new StepFailed(`the jobs of run ${run} cannot be removed: ${stderr.trim()}`);
  return {
    count: lines.filter((line) => line === 'removed').length,
    running: lines.flatMap((line) => /^running [^/]+\/([^/]+)\/(.+)$/.exec(line)?.slice(1).join('/') ?? []),
  };
}
