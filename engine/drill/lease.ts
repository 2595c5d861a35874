import { spawn } from 'node:child_process';
import { StepFailed } from '../core/error.ts';
import type { ShOptions, ShResult } from '../core/host.ts';
import { atMost, pause } from '../run/waiting.ts';

/** Where a fault is begun and kept: a shell on the node it strikes, or on this machine. */
export type Shell = (script: string, options?: ShOptions) => Promise<ShResult>;

/**
 * What makes a fault and what heals it: POSIX shell as root, both with the same `$1`, `$2`, …; they may keep things in
 * the folder `$AT`, which goes with the fault. `start` may be killed at any point, and `heal` may come more than once.
 */
export interface FaultScripts {
  readonly start: string;
  readonly heal: string;
  readonly args: readonly string[];
  /** Kept in `$AT/secret`, readable for root alone. */
  readonly secret?: string | undefined;
  /** A reboot does not heal it. */
  readonly isLasting?: boolean | undefined;
}

/** Folders of faults on a node: gone with a reboot, as most faults are; and of faults that outlast one. */
export const FAULT_DIRS = { passing: '/run/drillbook-faults', lasting: '/var/lib/drillbook-faults' } as const;

/** By the clock that nobody can set. */
const NOW = `now() { IFS=" ." read -r now _ </proc/uptime; }`;

/** Written over in place, so that it can be done on a full disk too. */
const UNTIL = `until_is() { printf '%-12s\\n' "$1" 1<>"$AT/until"; }`;

/** Heals once, if it can. What begins the fault still is ended first, for it may be about to make it. */
const HEAL_ONCE = `is_there() { read -r pid <"$AT/$1" && grep -qF "$AT" "/proc/$pid/cmdline"; } 2>/dev/null
heal_once() {
  rm -f "$AT/may-start"
  if is_there starting; then kill -9 "-$pid" 2>/dev/null || kill -9 "$pid"; return 1; fi
  said=$(sh "$AT/heal" 2>&1 </dev/null) && return
  printf '%s\\n' "$said" >"$AT/said"
  return 1
}`;

/**
 * Watches over a fault from beside it: heals it when it is told to, when the lease is no longer renewed, and at the
 * latest after `$2` seconds; again and again, until it is healed. `$1` folder.
 */
const GUARD = `AT=$1 most=$2; export AT
trap '' HUP INT TERM PIPE
${NOW}
${HEAL_ONCE}
now; end=$((now + most))
while :; do
  now
  read -r until <"$AT/until" || until=0
  [ "$until" != stop ] || { why=asked; break; }
  [ "$now" -lt "$until" ] || { why=lease; break; }
  [ "$now" -lt "$end" ] || { why=time; break; }
  sleep 0.2 2>/dev/null || sleep 1
done
until heal_once; do
  [ -d "$AT" ] || exit
  now
  if [ "$now" -lt $((end + 600)) ]; then sleep 1; else sleep 30; fi
done
echo "$why" >"$AT/healed.new" && mv "$AT/healed.new" "$AT/healed"`;

/** In a process group of its own, so that all of it can be ended; not at all where the guard has come to heal already. */
const START = `echo $$ >"$AT/starting"
[ -e "$AT/may-start" ] || exit 75
sh "$AT/start" </dev/null; code=$?
rm -f "$AT/starting"
exit "$code"`;

/** As words that a shell reads, whatever is in them. */
const WORDS = String.raw`words() {
  printf '%s\n' 'set -- \'
  for word; do printf '%s\n' "$word" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/' \\\\/"; done
  echo
}`;

/**
 * `$1` folder, `$2` seconds of lease, `$3` at most, `$4` host, `$5` guard, `$6` what starts, `$7` what heals, then their
 * own, which no process that lasts has among its arguments; the secret comes on standard input.
 */
const BEGIN = `AT=$1 lease=$2 most=$3 host=$4 guard=$5 start=$6 heal=$7; shift 7; export AT
umask 077
mkdir -p "\${AT%/*}" && mkdir "$AT" || exit 73
${NOW}
${UNTIL}
${WORDS}
cat >"$AT/secret" && words "$@" >"$AT/args" && printf '%s\\n' "$host" >"$AT/host" && echo >"$AT/may-start" &&
printf '. "$AT/args"\\n%s\\n' "$start" >"$AT/start" && printf '. "$AT/args"\\n%s\\n' "$heal" >"$AT/heal" &&
now && until_is $((now + lease)) || { rm -rf "$AT"; exit 73; }
detach=$(command -v setsid)
$detach sh -c "$guard" drillbook-fault "$AT" "$most" </dev/null >/dev/null 2>&1 &
echo $! >"$AT/guard"
$detach sh -c '${START}' drillbook-fault "$AT" || { code=$?; until_is stop; exit "$code"; }`;

const RENEW = `AT=$1 lease=$2
${NOW}
${UNTIL}
read -r until <"$AT/until" || exit 0
now; [ "$until" = stop ] || until_is $((now + lease))`;

/** A fault whose guard is no more, as after a reboot that the fault outlasted: healed here. */
const ORPHAN = `${HEAL_ONCE}
orphan() {
  ! is_there guard && [ ! -e "$AT/healed" ] && heal_once && echo gone >"$AT/healed"
}`;

/** Tells the guard, and waits `$2` seconds at most; a folder that is gone went with its node's reboot. */
const HEAL = `AT=$1 most=$2; export AT
[ -d "$AT" ] || { echo gone; exit 0; }
${NOW}
${UNTIL}
${ORPHAN}
now; end=$((now + most))
# A renewal that is under way may write over it.
while [ ! -e "$AT/healed" ] && until_is stop && ! orphan && [ "$now" -lt "$end" ]; do sleep 0.1 2>/dev/null || sleep 1; now; done
[ ! -e "$AT/said" ] || cat "$AT/said" >&2
if [ -e "$AT/healed" ]; then cat "$AT/healed"; rm -rf "$AT"; else echo unhealed; fi`;

/**
 * The faults that are in force still, by host and folder: in the folders `$2`, … or one of theirs, and of the hosts `$1`
 * (with blanks between; all where empty). Those that nobody watches over any more are healed, healed ones removed.
 */
export const LEFT_FAULTS = `hosts=$1; shift
${ORPHAN}
for dir; do
  for AT in "$dir"/drillbook_* "$dir"/*/drillbook_*; do
    { read -r host <"$AT/host"; } 2>/dev/null || continue
    case " \${hosts:-$host} " in *" $host "*) ;; *) continue ;; esac
    export AT
    [ -e "$AT/healed" ] || orphan || { echo "$host: $AT"; continue; }
    rm -rf "$AT"
  done
done`;

/** Runs on this machine what a node cannot do to itself. Detached: it outlives a Ctrl-C. */
export const localShell: Shell = (script, { args = [], stdin = '' } = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', script, 'sh', ...args], { detached: true, stdio: 'pipe' });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
    child.on('error', reject);
    child.on('exit', (code) => {
      const done = (): void => resolve({ code: code ?? 255, stdout, stderr });
      // What it leaves behind may keep its output open.
      const late = setTimeout(done, 1000);
      child.on('close', () => {
        clearTimeout(late);
        done();
      });
    });
  });

/** Why a fault ended. */
const ENDS = ['asked', 'lease', 'time', 'gone'] as const;
/** It was asked to, its lease ran out, its time was over, it went with a reboot; or it has not ended. */
export type Healed = (typeof ENDS)[number] | 'unhealed';

/** A fault, in force as long as somebody renews it. */
export interface Lease {
  /** Renewed from now on. Throws StepFailed where it cannot be begun: what there is of it has to be healed all the same. */
  begin(): Promise<void>;
  heal(): Promise<{ readonly how: Healed; readonly said: string }>;
}

export interface LeaseOptions {
  /** Folder of the fault. */
  readonly at: string;
  /** Name of whom it strikes. */
  readonly host: string;
  /** How long it lasts without a word from us. */
  readonly leaseMs: number;
  /** How long it lasts at most. */
  readonly mostMs: number;
}

const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));
/** How long one exchange waits for a fault to be healed. */
export const HEAL_SECONDS = 90;
/** One exchange that hangs must not cost the lease. */
const RENEW_MS = 3000;

/** Nothing is done yet. */
export function leaseOf(sh: Shell, scripts: FaultScripts, options: LeaseOptions): Lease {
  const { at, host, leaseMs, mostMs } = options;
  const { start, heal, args, secret = '' } = scripts;
  const over = new AbortController();

  async function renew(): Promise<void> {
    for (;;) {
      await pause(leaseMs / 4, over.signal);
      if (over.signal.aborted) return;
      const signal = AbortSignal.any([over.signal, AbortSignal.timeout(RENEW_MS)]);
      // A node that is out of reach for a while still has the rest of its lease.
      await atMost(RENEW_MS, sh(RENEW, { args: [at, seconds(leaseMs)], signal })).catch(() => undefined);
    }
  }

  return {
    async begin() {
      void renew();
      const limits = [seconds(leaseMs), seconds(mostMs)];
      const { code, stderr } = await sh(BEGIN, {
        args: [at, ...limits, host, GUARD, start, heal, ...args],
        stdin: secret,
      });
      if (code !== 0)
        throw new StepFailed(stderr.trim() || `the fault could not be begun (exit code ${code})`, { code });
    },
    async heal() {
      over.abort();
      const { stdout, stderr: said } = await sh(HEAL, { args: [at, String(HEAL_SECONDS)] });
      return { how: ENDS.find((end) => end === stdout.trim()) ?? 'unhealed', said: said.trim() };
    },
  };
}
