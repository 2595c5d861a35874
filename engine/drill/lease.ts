import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { StepFailed } from '../core/error.ts';
import type { ShOptions, ShResult } from '../core/host.ts';

/** Where a fault is begun and kept: a shell on the node it strikes, or on this machine. */
export type Shell = (script: string, options?: ShOptions) => Promise<ShResult>;

/**
 * What makes a fault and what heals it: POSIX shell as root, both with the same `$1`, `$2`, …; they may keep things in
 * the folder `$AT`, which goes with the fault. `heal` may come before `start` is done, and more than once.
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
const NOW = `now() { IFS=" ." read -r now _ </proc/uptime; }
boot() { read -r boot </proc/sys/kernel/random/boot_id; }`;

/** Written over in place, so that it can be done on a full disk too. */
const UNTIL = `until_is() { printf '%-12s\\n' "$1" 1<>"$AT/until"; }`;

/**
 * Watches over a fault from beside it: heals it when it is told to, when the lease is no longer renewed, and at the
 * latest after `$3` seconds. `$1` folder, `$2` what heals.
 */
const GUARD = `AT=$1 heal=$2 most=$3; shift 3; export AT
trap '' HUP INT TERM PIPE
${NOW}
now; end=$((now + most))
while :; do
  now
  read -r until <"$AT/until" || until=0
  [ "$until" != stop ] || { why=asked; break; }
  [ "$now" -lt "$until" ] || { why=lease; break; }
  [ "$now" -lt "$end" ] || { why=time; break; }
  sleep 0.2 2>/dev/null || sleep 1
done
while ! said=$(sh -c "$heal" fault "$@" 2>&1); do
  printf '%s\\n' "$said" >"$AT/said"
  now; [ "$now" -lt $((end + 600)) ] || { why=failed; break; }
  sleep 1
done
echo "$why" >"$AT/healed.new" && mv "$AT/healed.new" "$AT/healed"`;

/** `$1` folder, `$2` seconds of lease, `$3` seconds at most, `$4` start, `$5` heal, `$6` guard, then their own; the secret comes on standard input. */
const BEGIN = `AT=$1 lease=$2 most=$3 start=$4 heal=$5 guard=$6; shift 6; export AT
umask 077
mkdir -p "\${AT%/*}" && mkdir "$AT" || exit 73
${NOW}
${UNTIL}
cat >"$AT/secret" && printf '%s\\n' "$heal" >"$AT/heal" && printf '%s\\n' "$@" >"$AT/args" &&
boot && echo "$boot" >"$AT/boot" && now && until_is $((now + lease)) || exit 73
detach=$(command -v setsid)
$detach sh -c "$guard" drillbook-fault "$AT" "$heal" "$most" "$@" </dev/null >/dev/null 2>&1 &
sh -c "$start" fault "$@" </dev/null || { code=$?; until_is stop; exit "$code"; }`;

const RENEW = `AT=$1 lease=$2
[ ! -e "$AT/healed" ] || { cat "$AT/healed"; exit 0; }
${NOW}
${UNTIL}
read -r until <"$AT/until" || exit 0
now; [ "$until" = stop ] || until_is $((now + lease))`;

/** A fault whose guard went with a reboot, and which did not: healed here. */
const ORPHAN = `orphan() {
  boot; read -r born <"$AT/boot"
  [ "$boot" != "$born" ] || return 1
  set --; while IFS= read -r word; do set -- "$@" "$word"; done <"$AT/args"
  sh -c "$(cat "$AT/heal")" fault "$@" >"$AT/said" 2>&1 && echo gone >"$AT/healed"
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

/** The faults that are in force on a node, by their folders. Those whose guard went with a reboot are healed, healed ones removed. */
export const LEFT_FAULTS = `${NOW}
${ORPHAN}
for AT in ${FAULT_DIRS.passing}/* ${FAULT_DIRS.lasting}/*; do
  [ -d "$AT" ] || continue
  export AT
  [ -e "$AT/healed" ] || orphan || { echo "\${AT##*/}"; continue; }
  rm -rf "$AT"
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
    child.on('exit', (code) => resolve({ code: code ?? 255, stdout, stderr }));
  });

/** Why a fault ended: it was asked to, its lease ran out, its time was over, it went with a reboot, or it did not. */
export type Healed = 'asked' | 'lease' | 'time' | 'gone' | 'failed' | 'unhealed';

/** A fault that is in force. */
export interface Lease {
  /** Renews it until \`heal\`; a renewal that fails is tried again. Resolves early to why, where it has ended by itself. */
  keep(signal: AbortSignal): Promise<Healed | undefined>;
  heal(): Promise<{ readonly how: Healed; readonly said: string }>;
}

export interface LeaseOptions {
  /** Folder of the fault. */
  readonly at: string;
  /** How long it lasts without a word from us. */
  readonly leaseMs: number;
  /** How long it lasts at most. */
  readonly mostMs: number;
}

const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));
/** How long one exchange waits for a fault to be healed. */
export const HEAL_SECONDS = 90;

/** Begins a fault, and what watches over it before that. Throws StepFailed where it could not be begun; it is healed then. */
export async function begin(sh: Shell, scripts: FaultScripts, options: LeaseOptions): Promise<Lease> {
  const { at, leaseMs, mostMs } = options;
  const { start, heal, args, secret = '' } = scripts;
  const { code, stderr } = await sh(BEGIN, {
    args: [at, seconds(leaseMs), seconds(mostMs), start, heal, GUARD, ...args],
    stdin: secret,
  });
  const end: Lease['heal'] = async () => {
    const { stdout, stderr: said } = await sh(HEAL, { args: [at, String(HEAL_SECONDS)] });
    return { how: stdout.trim() as Healed, said: said.trim() };
  };
  if (code !== 0) {
    await end();
    throw new StepFailed(stderr.trim() || `the fault could not be begun (exit code ${code})`, { code });
  }
  return {
    heal: end,
    async keep(signal) {
      while (!signal.aborted) {
        await delay(leaseMs / 4, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return undefined;
        // A node that is out of reach for a while still has the rest of its lease.
        const said = await sh(RENEW, { args: [at, seconds(leaseMs)], signal }).catch(() => undefined);
        if (said?.stdout) return said.stdout.trim() as Healed;
      }
      return undefined;
    },
  };
}
