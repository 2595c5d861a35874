import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { dying, report, seeded } from '../run/_matrix.ts';
import type { Way } from '../run/_matrix.ts';
import { codeOf, playbook, statusOf } from './_playbook.ts';
import { freshLab } from '../lab/_fresh.ts';

const DATABASE = process.env['DRILLBOOK_MATRIX_DATABASE'] === 'mysql' ? 'mysql' : 'mariadb';
const LONG = isFull ? 3_600_000 : 400_000;
/** Of so many events a test takes one to die at; `npm run matrix` all. */
const EVERY = isFull ? 1 : 8;

let lab: Lab;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'killed-'));
  lab = await freshLab({ name: `matrix-${DATABASE}`, database: DATABASE });
  for (const name of ['install', 'catalog']) await well(name);
});
afterAll(async () => {
  await lab?.down();
  await rm(folder, { recursive: true, force: true });
});

async function well(name: string, inventory = lab.inventory): Promise<readonly string[]> {
  const done = await playbook(name, inventory, { state: join(folder, 'well') });
  expect(done.code, done.told).toBe(0);
  return done.changed;
}

/** What a playbook leaves on a node, without what is another thing each time. */
const DIGEST = `
cd /var/opt/scutech/dbackup3/agent
sed 's/"uuid".*//' ha.info
ls standby | wc -l
cat /etc/keepalived/keepalived.conf agent.conf
mysql -BN -e "SELECT id, name FROM dbackup3.jobs ORDER BY id; SELECT name FROM dbackup3.meta ORDER BY name
  ; SELECT user, host FROM mysql.user ORDER BY user, host; SHOW DATABASES; SELECT @@read_only"
systemctl is-enabled dbackup3-keepalived dbackup3-agent dbackup3-backupd
systemctl is-active dbackup3-keepalived dbackup3-agent dbackup3-backupd
`;
/** What was done once for every time that it was ordered: decisions of the operator, starts of services. */
const ACTS = `
grep -h 'by the operator' /var/log/dbackup3/hactl.log | cut -d' ' -f2- | sort | uniq -c
journalctl -q -o cat _PID=1 --since "@$1" | grep '^Starting .*[dD]backup3' | sort | uniq -c
: >/var/log/dbackup3/hactl.log
`;

async function onNodes(script: string, ...args: string[]): Promise<string[]> {
  const said = lab.nodes.map(({ name }) => lab.ssh(name, ['sh -s', ...args].join(' '), { stdin: script }));
  return (await Promise.all(said)).map(({ stdout }) => stdout.replaceAll(/ +/g, ' '));
}

const statusNow = (): Promise<ClusterStatus> => statusOf(lab.inventory);

/** The pair as it comes to rest. */
async function pairNow(): Promise<unknown> {
  const [status, digest] = [await statusNow(), await onNodes(DIGEST)];
  return { status, digest };
}

/** Runs a playbook by `go`; gives what it has done on the nodes, and how the pair is then. */
async function acts(go: () => Promise<void>): Promise<{ did: string[]; pair: unknown }> {
  await onNodes(ACTS, '0');
  // The node's journal is asked from a whole second on: what came before in that second is not of this.
  await pause(1000 - (Date.now() % 1000));
  const since = String(Math.floor(Date.now() / 1000));
  await go();
  return { did: await onNodes(ACTS, since), pair: await pairNow() };
}

/** Runs a playbook that dies again and again; `way` of each part. Gives the number of its deaths. */
async function killed(name: string, way: (part: number) => Way, inventory = lab.inventory): Promise<number> {
  const state = await mkdtemp(join(folder, `${name}-`));
  const args = [join(import.meta.dirname, '../../playbooks/dbackup', `${name}.yml`), '-i', inventory];
  const code = await codeOf(args, { DRILLBOOK_STATE: state });
  return dying([...args, '--yes', code], state, way);
}

/** Dies at each event of a run once, or at some; see `_mortal-journal.ts`. */
function atEach(what: string, side: 'before' | 'after'): () => Way {
  const file = join(folder, `${what}-${side}`);
  return () => ({ dies: `${side} each ${file} ${EVERY}` });
}

const random = seeded(20261121);

/** Dies after a random time, three times at most. */
const atInstants = (ms: number) => (part: number) =>
  part < 3 ? { afterMs: ms * (0.1 + 0.8 * random()) } : {};

test(
  'a cluster that is built by a run that dies again and again is as one that was built in one go',
  async () => {
    // Built once before, so that it is what follows a `dissolve` that is compared.
    await well('cluster-build');
    await well('dissolve');
    const startedAt = performance.now();
    const straight = await acts(async () => void (await well('cluster-build')));
    const ms = performance.now() - startedAt;
    const ways: [string, () => (part: number) => Way][] = [
      ['after', () => atEach('build', 'after')],
      ...(isFull
        ? [
            ['before', () => atEach('build', 'before')] as [string, () => () => Way],
            ...Array.from({ length: 25 }, (): [string, () => (part: number) => Way] => [
              'at random',
              () => atInstants(ms),
            ]),
          ]
        : []),
    ];
    let sum = 0;
    for (const [told, way] of ways) {
      await well('dissolve');
      let deaths = 0;
      const mended = await acts(async () => void (deaths = await killed('cluster-build', way())));
      report(`cluster-build on ${DATABASE}: died ${told} ${deaths} times`);
      expect(mended).toEqual(straight);
      sum += deaths;
    }
    expect(sum).toBeGreaterThan(isFull ? 250 : 9);
    expect(await well('cluster-build')).toEqual([]);
  },
  LONG,
);

test(
  'what operators do with a pair, by runs that die again and again, is as what they do in one go',
  async () => {
    const edited = join(folder, 'edited.yml');
    const text = await readFile(lab.inventory, 'utf8');
    await writeFile(edited, text.replaceAll(/\.100$/gm, '.101'), { mode: 0o600 });
    const all: [string, string][] = [
      ['switch', lab.inventory],
      ['failback', lab.inventory],
      ['edit', edited],
      ['edit', lab.inventory],
      ['stop', lab.inventory],
      ['start', lab.inventory],
    ];
    const some = isFull ? all : all.slice(0, 2);
    const straight = [];
    for (const [name, inventory] of some)
      straight.push(await acts(async () => void (await well(name, inventory))));
    for (const side of isFull ? (['after', 'before'] as const) : (['before'] as const)) {
      for (const [i, [name, inventory]] of some.entries()) {
        let deaths = 0;
        const way = atEach(`${i}-${name}`, side);
        const mended = await acts(async () => void (deaths = await killed(name, way, inventory)));
        report(`${name} on ${DATABASE}: died ${side} ${deaths} events`);
        expect([name, mended]).toEqual([name, straight[i]]);
        expect(deaths).toBeGreaterThan(3);
      }
    }
  },
  LONG,
);
