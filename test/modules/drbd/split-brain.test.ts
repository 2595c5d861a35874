import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { Context, Result } from '../../../engine/core/module.ts';
import { giveUp, save } from '../../../engine/modules/drbd/_discard.ts';
import splitBrain from '../../../engine/modules/drbd/split-brain.ts';
import type { Lab } from '../../../engine/lab/lab.ts';
import { runIds } from '../../../engine/run/journal/journal.ts';
import { isFull } from '../../_full.ts';
import { drillbook } from '../../cli/_drillbook.ts';
import { openPair } from '../../cluster/_pair.ts';
import type { Pair } from '../../cluster/_pair.ts';
import { freshLab } from '../../lab/_fresh.ts';
import { codeOf, playbook } from '../../playbooks/_playbook.ts';
import { dying, program, report } from '../../run/_matrix.ts';
import type { Way } from '../../run/_matrix.ts';
import {
  ALONE,
  comeApart,
  HIDE,
  isApart,
  isHarmless,
  isStandAlone,
  NODES,
  peerOf,
  splitOf,
  write,
} from './_splits.ts';
import type { Node, On, Split } from './_splits.ts';

let lab: Lab;
let folder: string;
let pair: Pair;

const on: On = async (node, script) => {
  const { code, stdout, stderr } = await lab.ssh(node, 'sh -s', { stdin: script });
  if (code !== 0) throw new Error(`${script} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
const both = <T>(work: (node: Node) => Promise<T>): Promise<T[]> => Promise.all(NODES.map(work));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'split-'));
  lab = await freshLab({
    ...{ name: 'test-split', stack: 'kwdb', database: 'mariadb' },
    ...{ drbd: true, installed: true, dataMb: 64 },
  });
  pair = openPair(lab.inventory);
  // Not by the playbook of the installation: Pacemaker, which it starts too, is not needed here.
  await both((node) => on(node, 'modprobe drbd'));
  for (const name of ['drbd-create-md', 'drbd-sync']) {
    const ran = await playbook(`kwdb/${name}`, lab.inventory, { state: folder });
    expect(ran.code, ran.told).toBe(0);
  }
  await on('dbk1', 'drbdadm secondary drbd3');
});
afterAll(async () => {
  await pair?.close();
  await lab?.down();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

/** Of the device's own bytes, past the page cache. */
const SIZE = `drbdsetup events2 --now --statistics drbd3 | sed -n 's/.* size:\\([0-9]*\\) .*/\\1/p'`;
const DIGEST = `kb=$(${SIZE})
dd if=$(drbdadm sh-ll-dev drbd3) iflag=direct,count_bytes bs=1M count=$((kb * 1024)) status=none | sha256sum`;
/** A file system that is too small for a copy. */
const SMALL =
  'truncate -s 8M /small.img && mkfs.ext4 -q /small.img && mkdir -p /small && mount -o loop /small.img /small';
const GENERATIONS = 'drbdadm get-gi drbd3; drbdadm cstate drbd3';
const FOLDER = '/var/backups/drbd';

const divergence = async (): Promise<Result> =>
  (await pair.run('dbk1', 'drbd.divergence', { resource: 'drbd3' })).result;
type Nodes = Readonly<Record<Node, { readonly loss: number; readonly serves: boolean }>>;

/** After a test that failed: one disk is filled from the other. */
async function startOver(): Promise<void> {
  await heal();
  await both((node) => on(node, 'umount /mnt 2>/dev/null; drbdadm down drbd3'));
  await on('dbk2', 'drbdmeta --force 3 v08 $(drbdadm sh-ll-dev drbd3) internal create-md </dev/null >&2');
  await both((node) => on(node, 'drbdadm up drbd3'));
  await expect.poll(async () => (await divergence())['state'], { timeout: 120_000 }).toBe('connected');
  await expect.poll(() => on('dbk2', 'drbdadm dstate drbd3'), { timeout: 240_000 }).toBe('UpToDate/UpToDate');
}

/** Shorter times than DRBD's own, so that nodes soon notice; with or without policies that discard by themselves. */
async function settle({ hasPolicies }: Split): Promise<void> {
  if ((await divergence())['state'] !== 'connected') await startOver();
  const word = hasPolicies ? ['discard-zero-changes', 'discard-secondary'] : ['disconnect', 'disconnect'];
  const net = 'net { ping-int 1; connect-int 3; }';
  // For all resources, as the template has it.
  const policies = `s/after-sb-0pri .*;/after-sb-0pri ${word[0]};/; s/after-sb-1pri .*;/after-sb-1pri ${word[1]};/`;
  await both((node) =>
    on(
      node,
      `sed -i '${policies}' /etc/drbd.d/global_common.conf &&
      sed -i '/^    net /d; s/^    device.*/&\\n    ${net}/' /etc/drbd.d/drbd3.res && drbdadm adjust drbd3
      mountpoint -q /small || { ${SMALL}; } || exit
      rm -rf ${FOLDER}; dmesg -C`,
    ),
  );
  await on(
    'dbk1',
    'drbdadm primary drbd3 && mount /dev/drbd3 /mnt && rm -f /mnt/of-*; umount /mnt; drbdadm secondary drbd3',
  );
}

/** The node that could be discarded. */
function candidateOf({ kind, victim, isServing, wroteKb }: Split): Node | null {
  const isVictimServing = kind === 'the victim is mounted';
  if (isServing !== isVictimServing) return isServing ? victim : peerOf(victim);
  const [one, other] = NODES.map((node) => wroteKb[node] > 0);
  return one === other ? null : one ? 'dbk2' : 'dbk1';
}

async function judged(split: Split): Promise<Nodes> {
  const { kind, wroteKb, isServing, victim } = split;
  const found = await divergence();
  const nodes = found['nodes'] as Nodes;
  if (isHarmless(kind)) {
    expect(found).toMatchObject({ state: 'lost_connection', candidate: null });
    return nodes;
  }
  expect(found).toMatchObject({ state: 'split_brain', candidate: candidateOf(split) });
  for (const node of NODES) {
    const own = wroteKb[node] * 1024;
    expect(nodes[node].loss).toBeGreaterThanOrEqual(own);
    // With the bookkeeping of the file system; whole extents, up to all of the disk, where a primary lost power.
    const isMounted = own > 0 || (node === victim ? kind === 'the victim is mounted' : isServing);
    if (!kind.startsWith('the primary lost power'))
      expect(nodes[node].loss).toBeLessThanOrEqual(own + (isMounted ? 16 * 1024 ** 2 : 0));
    expect(found['verdict']).toContain(`${node} (`);
    expect(String(found['verdict']).includes('DRBD may discard one of them by itself')).toBe(
      split.hasPolicies && !(isServing && kind === 'the victim is mounted'),
    );
  }
  return nodes;
}

/** What must not come to pass, and leaves both nodes as they are. */
async function refused(split: Split, nodes: Nodes): Promise<void> {
  const { kind, victim, isServing } = split;
  const before = await both((node) => on(node, GENERATIONS));
  const wish = { resource: 'drbd3', victim, at_most: nodes[victim].loss, save_to: FOLDER };
  const repair = (more: Result): Promise<unknown> =>
    pair.run('dbk1', 'drbd.split_brain', { ...wish, ...more });
  if (isHarmless(kind)) await expect(repair({ overrule: true })).rejects.toThrow('There is no split brain');
  else {
    await expect(pair.run('dbk1', 'drbd.split_brain', { resource: 'drbd3' })).rejects.toThrow('Split brain');
    if (nodes[victim].loss > 0)
      await expect(repair({ overrule: true, at_most: nodes[victim].loss - 1 })).rejects.toThrow(
        /would lose|serves/,
      );
    if (isServing)
      await expect(repair({ victim: peerOf(victim), at_most: '1GiB', overrule: true })).rejects.toThrow(
        'serves: it is mounted at /mnt',
      );
    if (kind.endsWith('is to go')) await expect(repair({})).rejects.toThrow('speaks against discarding');
    if (kind === 'the victim is mounted') await expect(repair({})).rejects.toThrow('serves');
    await expect(repair({ overrule: true, save_to: '/run/copies' })).rejects.toThrow(/in memory|serves/);
    await expect(repair({ overrule: true, save_to: '/small/copies' })).rejects.toThrow(
      /free, and the copy needs 64.0 MiB|serves/,
    );
  }
  const said = await drillbook(['run', ...argsOf(split, nodes)], { env: { DRILLBOOK_STATE: folder } });
  expect([said.code, said.stdout]).toMatchObject([5, expect.stringContaining(`what ${victim} has of drbd3`)]);
  expect(await both((node) => on(node, GENERATIONS))).toEqual(before);
  expect(await on(victim, `ls ${FOLDER} 2>/dev/null; true`)).toBe('');
}

const argsOf = ({ victim, compress, kind }: Split, nodes: Nodes): string[] => [
  join(import.meta.dirname, '../../../playbooks/kwdb/repair-split-brain.yml'),
  '-i',
  lab.inventory,
  ...[
    `victim=${victim}`,
    `at_most=${nodes[victim].loss}`,
    `save_to=${FOLDER}`,
    `compress=${compress}`,
  ].flatMap((one) => ['-e', one]),
  ...(kind.endsWith('is to go') ? ['-e', 'overrule=true'] : []),
];

/** What is not as it was judged, or does not stay so while it is copied, is not discarded. */
async function notAsJudged(victim: Node): Promise<void> {
  const generation = String(
    ((await divergence())['nodes'] as Readonly<Record<Node, Result>>)[victim]['generation'],
  );
  const bytes = 1024 * Number(await on(victim, SIZE));
  const wish = {
    resource: 'drbd3',
    folder: FOLDER,
    name: 'x.img',
    compress: 'none',
    bytes,
    isForced: false,
  } as const;
  const ctx = pair.ctx(victim);
  await expect(save(ctx, { ...wish, generation: 'ABCDEF0123456780' })).rejects.toThrow(
    'its data is of generation',
  );
  const { copied } = await save(ctx, { ...wish, generation });
  const isGivenUp = (of: readonly string[] | undefined): Promise<boolean> =>
    giveUp(ctx, { ...wish, generation }, of);
  expect(await isGivenUp(['another-boot', copied?.[1] ?? ''])).toBe(false);
  await on(
    victim,
    `drbdadm primary drbd3 && dd if=/dev/drbd3 of=/dev/drbd3 bs=4096 count=1 conv=notrunc oflag=direct status=none; drbdadm secondary drbd3`,
  );
  await expect(isGivenUp(copied)).rejects.toThrow(
    'it was written, promoted or connected since it was copied',
  );
  await on(victim, `rm -r ${FOLDER}`);
  expect(await on(victim, 'drbdadm cstate drbd3')).toBe('StandAlone');
}

/** What stands when it is copied is what counts: not what was judged before. */
async function survivorDies({ victim }: Split, { [victim]: { loss } }: Nodes): Promise<void> {
  const survivor = peerOf(victim);
  const ctx: Context = {
    ...pair.ctx(victim),
    async keep(name, find) {
      if (name.startsWith('up still')) await on(survivor, 'drbdadm detach drbd3');
      return find();
    },
  };
  const wish = { resource: 'drbd3', victim, at_most: loss, save_to: FOLDER };
  await expect(splitBrain.run(ctx, splitBrain.params.parse(wish))).rejects.toThrow(
    `${survivor} has no whole data: its disk is Diskless`,
  );
  expect(await on(victim, 'drbdadm dstate drbd3; drbdadm cstate drbd3')).toBe(
    'UpToDate/DUnknown\nStandAlone',
  );
  await on(survivor, 'drbdadm attach drbd3');
  await on(victim, `rm -r ${FOLDER}`);
}

/** Repairs by the playbook, whose engine dies on its way; the network heals when the nodes have let go of each other. */
async function repaired(split: Split, nodes: Nodes): Promise<number> {
  const { victim, isCutStill, deaths, seed } = split;
  const state = join(folder, String(seed));
  const args = argsOf(split, nodes);
  const code = await codeOf(args, { DRILLBOOK_STATE: state });
  const healing = isCutStill ? on(peerOf(victim), isStandAlone).then(heal) : undefined;
  const instant = (at: number | undefined): Way => (at === undefined ? {} : { afterMs: 400 + at * 5000 });
  const died = await dying([...args, '--yes', code], state, (part) => instant(deaths[part]));
  await healing;
  return died;
}

async function heal(): Promise<void> {
  for (const node of NODES) await lab.heal(node, 'net2');
}

/** Both have what the survivor had; of the victim's own there is a copy that can be read. */
async function whole(split: Split, sums: Readonly<Record<Node, string>>, before: string): Promise<void> {
  const { victim, isServing, wroteKb, kind, compress } = split;
  const survivor = peerOf(victim);
  const sum = (node: Node): string => `sha256sum </mnt/of-${node}`;
  if (isServing) {
    if (wroteKb[survivor] > 0) expect(await on(survivor, sum(survivor))).toBe(sums[survivor]);
    await on(survivor, 'umount /mnt && drbdadm secondary drbd3');
  }
  expect(await divergence()).toMatchObject({ state: 'connected' });
  const [one, other] = await both((node) => on(node, DIGEST));
  expect(one).toBe(other);
  if (!isServing && !isHarmless(kind)) expect(one).toBe(before);
  // No policy is left set aside.
  for (const said of await both((node) => on(node, 'drbdadm --dry-run adjust drbd3'))) expect(said).toBe('');
  if (isHarmless(kind)) return;
  // A reboot empties the kernel's log.
  if (split.seed <= 20) expect(await on(victim, 'dmesg | grep -c "Began resync as SyncTarget"')).toBe('1');
  expect(await on(survivor, 'dmesg | grep -c "Began resync as SyncTarget"; true')).toBe('0');
  const copies = await on(
    victim,
    `cd ${FOLDER} && sha256sum --quiet -c *.sha256 && stat -c '%a %n' * && ${compress === 'none' ? ':' : 'gunzip *.gz'} &&
    mount -o ro,loop,noload *.img /mnt && ${wroteKb[victim] > 0 ? sum(victim) : ':'}; umount /mnt`,
  );
  expect(copies.split('\n')).toEqual([
    expect.stringMatching(/^600 drbd3-dbk[12]-[0-9A-F]{16}\.img(\.gz)?$/),
    expect.stringMatching(/^600 drbd3-dbk[12]-[0-9A-F]{16}\.img(\.gz)?\.sha256$/),
    ...(wroteKb[victim] > 0 ? [sums[victim]] : []),
  ]);
  await on(victim, `drbdadm primary drbd3 && mount /dev/drbd3 /mnt`);
  if (wroteKb[survivor] > 0) expect(await on(victim, sum(survivor))).toBe(sums[survivor]);
  expect(await on(victim, `ls /mnt; umount /mnt; drbdadm secondary drbd3`)).not.toContain(`of-${victim}`);
}

const MOUNT = 'drbdadm primary drbd3 && mount /dev/drbd3 /mnt';

const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);

for (const split of SEEDS.map(splitOf)) {
  const { seed, kind, victim, isServing, isCutStill } = split;
  test.skipIf(seed !== 3 && !isFull)(
    `seed ${seed}: ${kind}; ${victim} gives way`,
    async () => {
      onTestFailed(({ task }) =>
        report(`seed ${split.seed}: ${task.result?.errors?.[0]?.stack ?? 'failed'}`),
      );
      const startedAt = performance.now();
      const survivor = peerOf(victim);
      await settle(split);
      const sums = await comeApart(lab, on, split);
      if (isServing) await on(survivor, MOUNT);
      if (kind === 'the victim is mounted') await on(victim, MOUNT);
      if (!isCutStill) {
        await heal();
        if (!kind.startsWith('one is StandAlone') && !isHarmless(kind))
          await Promise.any(NODES.map((node) => on(node, isStandAlone)));
      }
      const nodes = await judged(split);
      await refused(split, nodes);
      if (kind === 'the victim is mounted') await on(victim, 'umount /mnt && drbdadm secondary drbd3');
      if (split.seed === 3) {
        await notAsJudged(victim);
        await survivorDies(split, await judged(split));
      }
      const before = await on(survivor, DIGEST);
      const judgedMs = performance.now() - startedAt;
      let died = 0;
      if (isHarmless(kind)) {
        await heal();
        const ran = await playbook('kwdb/drbd-reconnect', lab.inventory, { state: folder });
        expect(ran.code, ran.told).toBe(0);
      } else
        died = await repaired(
          split,
          await judged({
            ...split,
            kind: kind === 'the victim is mounted' ? 'both were primary and wrote' : kind,
          }),
        );
      const repairedMs = performance.now() - startedAt - judgedMs;
      await whole(split, sums, before);
      report(
        `seed ${split.seed}: ${kind}; ${victim} gave way, ${JSON.stringify(split.wroteKb)} KiB; apart and judged ${(judgedMs / 1000).toFixed(1)} s, whole after ${(repairedMs / 1000).toFixed(1)} s, engine died ${died} times`,
      );
    },
    600_000,
  );
}

const RECONNECT = { resource: 'drbd3', wait: '60s' };
/** Apart, and it has lost power: its resource is down when it comes back, and its peer has written since. */
async function loses(victim: Node, while_: string): Promise<void> {
  const survivor = peerOf(victim);
  await settle({ ...splitOf(1), hasPolicies: false });
  await on(victim, while_);
  await lab.powerOff(victim);
  await on(survivor, isApart);
  await on(survivor, write(survivor, 100));
  await lab.powerOn(victim);
  await on(victim, 'modprobe drbd');
}

test('a primary that lost power while both were in step is raised and catches up', async () => {
  await loses('dbk1', 'drbdadm primary drbd3 && mount /dev/drbd3 /mnt && date >/mnt/before && sync');
  expect(await divergence()).toMatchObject({ state: 'lost_connection' });
  expect(await pair.run('dbk1', 'drbd.split_brain', RECONNECT)).toMatchObject({
    result: { disk: 'UpToDate', peer_disk: 'UpToDate', lost: 0 },
  });
}, 300_000);

test('what a node wrote that is down is looked for before it is connected', async () => {
  const hidden = `${HIDE}\n${write('dbk1', 50)}`;
  await loses('dbk1', `drbdadm disconnect drbd3\n${hidden}\nsync`);
  expect(await divergence()).toMatchObject({
    state: 'unknown',
    verdict: expect.stringContaining('dbk1 is down and behind'),
  });
  await expect(pair.run('dbk1', 'drbd.split_brain', RECONNECT)).rejects.toThrow('dbk1 is down and behind');
  await on('dbk1', ALONE);
  expect(await divergence()).toMatchObject({ state: 'split_brain' });
  // Nor is it connected on the word of a first look that is hours old.
  const ctx: Context = {
    ...pair.ctx('dbk1'),
    keep: async (_, find) => ({ ...(await find()), verdict: { state: 'lost_connection', text: '' } }),
  };
  await expect(splitBrain.run(ctx, splitBrain.params.parse(RECONNECT))).rejects.toThrow('Split brain');
  for (const said of await both((node) => on(node, 'drbdadm cstate drbd3'))) expect(said).toBe('StandAlone');
  await startOver();
}, 300_000);

/** Seconds after the beginning of the repair. */
const OUTAGES = [2, 4, 5];

test.runIf(isFull).each(OUTAGES)(
  'the victim loses power %d s into its repair, and the run ends as it would have',
  async (seconds) => {
    const split = {
      ...splitOf(1),
      seed: 100 + seconds,
      isServing: false,
      isCutStill: false,
      hasPolicies: false,
    };
    const { victim } = split;
    await settle(split);
    const sums = await comeApart(lab, on, split);
    await heal();
    await Promise.any(NODES.map((node) => on(node, isStandAlone)));
    const nodes = await judged(split);
    const before = await on(peerOf(victim), DIGEST);
    const state = join(folder, String(split.seed));
    const args = argsOf({ ...split, compress: 'none' }, nodes);
    const code = await codeOf(args, { DRILLBOOK_STATE: state });
    let outage: Promise<void> | undefined;
    let ended = await program(['run', ...args, '--yes', code, '--state', state], {
      onEvent({ event }) {
        if (event === 'step_started')
          outage ??= pause(seconds * 1000)
            .then(() => lab.powerOff(victim))
            .then(() => lab.powerOn(victim));
      },
    });
    await outage;
    // The lock of the run, too, may be lost with the node's last seconds: then a resume takes it again.
    if (ended.code === 5) ended = await program(['resume', runIds(state).at(-1) ?? '', '--state', state]);
    expect([ended.code, ended.stderr]).toEqual([0, '']);
    if ((await on(victim, 'drbdadm cstate drbd3').catch(() => '')) === '')
      await on(victim, 'drbdadm up drbd3');
    await expect.poll(async () => (await divergence())['state'], { timeout: 120_000 }).toBe('connected');
    await whole({ ...split, compress: 'none' }, sums, before);
  },
  600_000,
);
