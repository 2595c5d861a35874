import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { drillDir } from '../../engine/drill/record.ts';
import type { DrillEvent, DrillRecord } from '../../engine/drill/record.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { drillbook, start } from '../cli/_drillbook.ts';
import { freshLab } from '../lab/_fresh.ts';
import { buildPair, playbook } from '../playbooks/_playbook.ts';
import { report } from '../run/_matrix.ts';
import { longestAfter, MAKE_PROBE, numbersIn, startProbe } from './_probe.ts';

const DRILLS = join(import.meta.dirname, '../../playbooks/drills');
const NAMES = ['service', 'link', 'database', 'power', 'split-brain'] as const;
const TIMES = [1, 2, 3] as const;
/** Power-offs with semi-synchronous replication; in every second one the standby receives nothing any more by then. */
const POWER_OFFS = Array.from({ length: 20 }, (_, i) => ({
  time: i + 1,
  name: i % 2 === 0 ? 'power' : 'power-behind',
}));

/** What the drill says of itself, and what was seen beside it. */
interface Beside {
  readonly code: number | null;
  readonly record: DrillRecord;
  readonly rtoMs: number;
  /** When that ended, after the drill began, in ms. */
  readonly servedMs: number;
  /** Rows that the clients beside it were told are written, and that are not there. */
  readonly lost: number;
  /** Acknowledged numbers of the kept ledger that are not in a copy of its table. */
  readonly missing: number;
}

/** Acknowledged numbers in the file that a drill keeps. */
const acknowledgedIn = (csv: string): number[] =>
  csv
    .split('\n')
    .slice(1)
    .map((line) => line.split(','))
    .flatMap(([n, , , ackMs = '']) => (ackMs === '' ? [] : [Number(n)]));

describe.runIf(isFull).each(['mariadb', 'mysql'] as const)(
  'disasters on %s, each again and again',
  (database) => {
    let lab: Lab;
    let state: string;
    let vip: string;
    let rows = 0;

    beforeAll(async () => {
      state = await mkdtemp(join(tmpdir(), 'disasters-'));
      lab = await freshLab({ name: `drl-${database}`, database });
      vip = (lab.nodes[0]?.addresses.net1 ?? '').replace(/\.\d+$/, '.100');
      await buildPair(lab.inventory, state);
      const made = await lab.ssh('dbk1', 'mysql dbackup3', { stdin: MAKE_PROBE });
      expect([made.code, made.stderr]).toEqual([0, '']);
    });
    afterAll(async () => {
      await lab?.down();
      await rm(state, { recursive: true, force: true });
    }, 60_000);

    /** The table goes with the drill: it is copied when the drill has begun to look at it. */
    async function beside(name: string): Promise<Beside> {
      let copy: Promise<ReadonlySet<number>> | undefined;
      const client = startProbe(vip, (rows += 1_000_000));
      const args = ['drill', join(DRILLS, `dbackup-${name}.yml`), '-i', lab.inventory, '--output', 'jsonl'];
      const said = await start(args, {
        env: { DRILLBOOK_STATE: state },
        onLine(line) {
          const event = JSON.parse(line) as DrillEvent;
          if (event.event === 'phase' && event.phase === 'audit') copy = numbersIn(vip, 'drillbook_ledger');
        },
      }).ended;
      const seen = await client.stop();
      const [end = '{}'] = said.stdout.trim().split('\n').slice(-1);
      const record = JSON.parse(end) as DrillRecord;
      expect([record.outcome, record.reasons], said.stderr).toEqual(['passed', []]);
      const kept = await numbersIn(vip, 'probe');
      const csv = await readFile(join(drillDir(state, record.drill), 'ledger.csv'), 'utf8');
      const there = await copy;
      const beganAt = Date.parse(record.startedAt);
      const longest = longestAfter(seen, beganAt + (record.faults[0]?.fromMs ?? 0));
      return {
        code: said.code,
        record,
        rtoMs: longest.ms,
        servedMs: longest.at - beganAt,
        lost: seen.filter(({ n }) => !kept.has(n)).length,
        missing: acknowledgedIn(csv).filter((n) => there?.has(n) === false).length,
      };
    }

    test.each([
      ['clock: { on: standby, by: 5m }', 'a container has no clock of its own'],
      ['full_disk: { on: standby, directory: /var/lib/mysql }', "is on the container's own overlay"],
    ])('what a node refuses is told, and nothing was done: %s', async (fault, why) => {
      const file = join(state, 'refused.yml');
      await writeFile(
        file,
        `name: Refused\nsteady: { that: cluster.state == "running" }\nledger: { before: 1s }\nfaults: [{ ${fault} }]\n`,
      );
      const args = ['drill', file, '-i', lab.inventory, '--output', 'json'];
      const said = await drillbook(args, { env: { DRILLBOOK_STATE: state } });
      const { reasons, measures } = JSON.parse(said.stdout) as DrillRecord;
      expect([said.code, reasons, measures]).toEqual([5, [expect.stringContaining(why)], null]);
    });

    test.each(TIMES.flatMap((time) => NAMES.map((name) => ({ time, name }))))(
      '$name, time $time: all is well again, and the figures are those of others',
      async ({ name, time }) => {
        const { code, record, rtoMs, servedMs, lost, missing } = await beside(name);
        const { measures } = record;
        report(
          `${name} ${time}: RTO ${measures?.rtoMs} ms, beside it ${rtoMs} ms, served again at ${servedMs} ms; RPO ${measures?.rpo.rows}, counted ${missing}, beside it ${lost}; ` +
            `promoted ${measures?.promoteMs} ms; ${record.before?.primary} was primary; ${record.playbooks.map(({ run, exitCode }) => `${run} ${exitCode}`).join(', ')}; ${record.endedMs} ms`,
        );
        expect(code).toBe(0);
        expect(Math.abs((measures?.rtoMs ?? Infinity) - rtoMs)).toBeLessThan(1000);
        expect(measures?.rpo.rows).toBe(missing);
        expect(measures?.acknowledged).toBeGreaterThan(1000);
        if (measures?.rpo.rows === 0) expect(lost).toBe(0);
      },
      400_000,
    );

    test('what is acknowledged from now on is on the standby too', async () => {
      const done = await playbook('semi-sync', lab.inventory, { state });
      expect(done.code, done.told).toBe(0);
    });

    test.each(POWER_OFFS)(
      '$name, time $time with semi-synchronous replication: no acknowledged row is missing, before the node is back neither',
      async ({ name, time }) => {
        const { record, rtoMs, lost, missing } = await beside(name);
        const { measures } = record;
        report(
          `semi-sync, ${name} ${time}: RTO ${measures?.rtoMs} ms, beside it ${rtoMs} ms; missing before the heal ${measures?.rpoBeforeHeal?.rows}, then ${measures?.rpo.rows}, counted ${missing}, beside it ${lost}; of ${measures?.acknowledged}`,
        );
        expect([measures?.rpoBeforeHeal?.rows, measures?.rpo.rows, missing, lost]).toEqual([0, 0, 0, 0]);
      },
      400_000,
    );
  },
);
