import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { macOf, plug, portOf } from './network.ts';
import { environment, shell } from './program.ts';
import { labId, links, nodeDir, type LabState, type NodeState, type VmImage } from './state.ts';
import { FURNISH, RUN } from './vm.ts';

/** A machine with cgroup v1, or both, gets to see v2 alone; one that has v2 there already refuses a second mount. */
const CGROUP2 = '[ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 none /sys/fs/cgroup';

/** Less, and the memory ends while pcs runs. */
const MEMORY_MB = 1024;

const groupOf = (lab: string, node: string): string => `drillbook-${labId(lab)}-${node}`;

/**
 * Everything that must not outlive the node lies in namespaces of its own, which the kernel takes away with the
 * last process: the overlay, a cgroup v2 tree (whatever the machine itself has mounted there), the cards.
 * The control group holds every process of the node, so that one write kills them all at one instant.
 * systemd-nspawn with --keep-unit leaves a reboot to whoever started it, by exit code 133.
 */
const START = `
group=/sys/fs/cgroup/$1 image=$2 node=$3 machine=$4
${CGROUP2}
mkdir -p "$group/power" "$group/machine" /run/systemd
mount -t tmpfs none /run/systemd
echo $$ >"$group/power/cgroup.procs"
mount -t overlay overlay -o "lowerdir=$image,upperdir=$node/disk,workdir=$node/work" "$node/root"
echo ready
read -r _
exec </dev/null >>"$node/console.log" 2>&1
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
code=133
while [ $code = 133 ]; do
  code=0
  sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group/machine" systemd-nspawn --quiet --directory="$node/root" \
    --machine="$machine" --boot --register=no --keep-unit --network-namespace-path=/proc/self/ns/net \
    --console=passive --capability=CAP_NET_ADMIN,CAP_NET_RAW --resolv-conf=off --timezone=off || code=$?
done
`;

/** As START, for a machine with a kernel and a disk of its own. */
const START_VM = `
group=/sys/fs/cgroup/$1; shift
kernel=$1 image=$2 node=$3; shift 3
${CGROUP2}
mkdir -p "$group/power" "$group/machine/supervisor"
echo $$ >"$group/power/cgroup.procs"
set -- "$kernel" "$image" "$node" "$@"
${FURNISH}
shift 3
echo ready
read -r _
exec </dev/null >>"$node/console.log" 2>&1
code=127
# It takes its process group along when it ends.
while [ $code = 127 ]; do
  code=0
  (echo 0 >"$group/machine/supervisor/cgroup.procs"; exec setsid --wait ${RUN} "$@") || code=$?
done
`;

/** From here on the node does nothing more, also not at the loss of its cards; what the kernel cannot stop is not waited for. */
const FREEZE = `
${CGROUP2}
cd "/sys/fs/cgroup/$1" 2>/dev/null || exit 0
echo 1 >cgroup.freeze
for _ in $(seq 200); do
  if grep -q 'frozen 1' cgroup.events; then exit; fi
  sleep 0.01
done
`;

const KILL = `
${CGROUP2}
cd /sys/fs/cgroup
for group in "$1"*; do
  [ -d "$group" ] || continue
  echo 1 >"$group/cgroup.kill"
  while grep -q 'populated 1' "$group/cgroup.events"; do sleep 0.01; done
  find "$group" -depth -type d -exec rmdir {} +
done
`;

const LIST = `
${CGROUP2}
cd /sys/fs/cgroup
for group in "$1"*; do
  [ -d "$group" ] || continue
  set -- "$group/machine/supervisor/cgroup.procs" $(find "$group" -name cgroup.procs)
  echo "$group $(cat "$@" 2>/dev/null | head -n 1)"
done
`;

const inOwnMounts = (script: string, args: readonly string[]): Promise<string> =>
  shell('exec unshare --mount sh -euc "$@"', [script, 'sh', ...args]);

/** For an error, after which the lab may be gone, and its files with it. */
export async function consoleEnd(lab: LabState, node: NodeState): Promise<string> {
  const text = await readFile(consoleOf(lab, node), 'utf8').catch(() => '');
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  return lines.length === 0
    ? 'its console says nothing'
    : `its console ends so:\n${lines.slice(-15).join('\n')}`;
}

const consoleOf = (lab: LabState, node: NodeState): string =>
  join(nodeDir(lab.name, node.name), 'console.log');

/**
 * Switches a node on. Resolves when its init has been started, to a signal of the node's end; it boots on from there.
 */
export async function startMachine(lab: LabState, node: NodeState): Promise<AbortSignal> {
  const log = await open(consoleOf(lab, node), 'a');
  const args = [...(lab.vm && node.kind === 'vm' ? virtual(lab, lab.vm, node) : contained(lab, node))];
  const child = spawn('unshare', args, {
    cwd: '/',
    detached: true,
    env: environment(),
    stdio: ['pipe', 'pipe', log.fd],
  });
  await log.close();
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('a child has no pipes');
  const isReady = new Promise<boolean>((resolve) => {
    stdout.once('data', () => resolve(true));
    child.once('error', () => resolve(false));
    child.once('exit', () => resolve(false));
  });
  if (!(await isReady) || child.pid === undefined) {
    throw new DrillbookError('lab.node', `node ${node.name} cannot be started`, {
      hint: await consoleEnd(lab, node),
    });
  }
  const ended = new AbortController();
  child.once('exit', () => ended.abort());
  // Without a line on its standard input (we were killed, or this fails) it ends by itself.
  try {
    await plug(lab, node, child.pid);
    stdin.write('\n');
  } finally {
    stdin.end();
    stdout.destroy();
    child.unref();
  }
  return ended.signal;
}

const contained = (lab: LabState, node: NodeState): readonly string[] => [
  ...['--mount', '--net', 'sh', '-euc', START, 'sh'],
  ...[groupOf(lab.name, node.name), lab.image, nodeDir(lab.name, node.name), node.name],
];

const virtual = (lab: LabState, { kernel, disk }: VmImage, node: NodeState): readonly string[] => [
  ...['--mount', 'sh', '-euc', START_VM, 'sh'],
  ...[groupOf(lab.name, node.name), kernel, disk, nodeDir(lab.name, node.name)],
  `mem=${MEMORY_MB}M`,
  `ubd0=/lab/node/disk.cow,/lab/image/${basename(disk)}`,
  'ubd1=/lab/node/data',
  'ubd2r=/lab/node/own.tar',
  ...links.map(
    (link, i) =>
      `vec${i}:transport=tap,ifname=${portOf(lab.name, node, link)},gro=1,mac=${macOf(lab, node, i)}`,
  ),
  ...[
    'init=/usr/local/sbin/lab-init',
    `lab_disk=${node.serial ?? ''}`,
    'net.ifnames=0',
    'random.trust_cpu=on',
  ],
];

/** Stops every process of a node at one instant, for the power failure that follows. */
export const freezeMachine = async (lab: string, node: string): Promise<void> => {
  await inOwnMounts(FREEZE, [groupOf(lab, node)]);
};

/** Ends every process of a node at once, as a power failure does; of all the lab's nodes when none is named. */
export const killMachines = async (lab: string, node = ''): Promise<void> => {
  // A name may be the beginning of another's, so one node is matched whole.
  await inOwnMounts(node === '' ? KILL : KILL.replace('"$1"*', '"$1"'), [groupOf(lab, node)]);
};

/**
 * Nodes that have a control group, with the pid of one of their processes, of their container's manager where it runs:
 * it does not between two boots. Undefined when all have ended.
 */
export async function machinesOf(lab: string): Promise<ReadonlyMap<string, number | undefined>> {
  const text = await inOwnMounts(LIST, [groupOf(lab, '')]);
  const lines = text.split('\n').filter((line) => line !== '');
  return new Map(
    lines.map((line) => {
      const [group = '', pid = ''] = line.split(' ');
      return [group.slice(groupOf(lab, '').length), pid === '' ? undefined : Number(pid)];
    }),
  );
}
