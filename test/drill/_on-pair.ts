import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import type { Connection } from 'mysql2/promise';
import { expect } from 'vitest';
import type { DrillEvent, DrillRecord } from '../../engine/drill/record.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { drillbook, start } from '../cli/_drillbook.ts';

/** A running pair whose primary is dbk1. */
export interface Place {
  readonly lab: Pick<Lab, 'ssh' | 'inventory'>;
  readonly vip: string;
  /** State folder of the commands. */
  readonly state: string;
}

const STEADY = `steady:
  that: [cluster.state == "running", cluster.replication.state == "normal"]
  holds: 1s
`;

async function sql({ lab }: Place, node: string, statements: string): Promise<string> {
  const { code, stdout, stderr } = await lab.ssh(node, 'mysql -BN dbackup3', { stdin: statements });
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}

/** Clients of their own making: what they see is what the drill must have measured. Tells when writes were acknowledged. */
async function probe(place: Place): Promise<{ stop(): Promise<readonly number[]> }> {
  await sql(
    place,
    'dbk1',
    `CREATE TABLE probe (n INT PRIMARY KEY); CREATE USER probe@'%' IDENTIFIED BY 'looks on';
     GRANT INSERT ON dbackup3.probe TO probe@'%'`,
  );
  const login = {
    ...{ host: place.vip, user: 'probe', password: 'looks on', database: 'dbackup3' },
    connectTimeout: 500,
  };
  const times: number[] = [];
  let [n, isStopped] = [0, false];
  const client = async (): Promise<void> => {
    let connection: Connection | undefined;
    while (!isStopped) {
      try {
        connection ??= await createConnection(login);
        await connection.query({ sql: 'INSERT INTO probe VALUES (?)', values: [++n], timeout: 500 });
        times.push(Date.now());
      } catch {
        connection?.destroy();
        connection = undefined;
      }
      await delay(20);
    }
    connection?.destroy();
  };
  const work = Promise.all([client(), client(), client()]);
  return {
    async stop() {
      isStopped = true;
      await work;
      return times;
    },
  };
}

/** The longest time between two of `times` that ends after `from`. */
function longestAfter(times: readonly number[], from: number): number {
  const gaps = times.slice(1).map((at, i) => ({ at, ms: at - (times[i] ?? at) }));
  return Math.max(...gaps.filter(({ at }) => at >= from).map(({ ms }) => ms));
}

/** The management service of the primary dies; seven acknowledged rows are taken away behind the drill's back. */
export async function drillUnderProbe(place: Place): Promise<void> {
  const { lab, state } = place;
  const dir = mkdtempSync(join(tmpdir(), 'drill-'));
  try {
    writeFileSync(
      join(dir, 'lose.yml'),
      `name: Lose
plays:
  - hosts: primary
    tasks: [{ shell: mysql dbackup3 -e "DELETE FROM drillbook_ledger WHERE n BETWEEN 11 AND 17" }]
`,
    );
    writeFileSync(
      join(dir, 'drill.yml'),
      `name: Service
${STEADY}ledger: { before: 2s, after: 1s, page: 'http://{{vip}}/health' }
faults: [{ service: { on: primary, name: dbackup3-backupd }, for: 10s }]
expect: [{ name: takeover, that: 'cluster.primaries == [before.standby]', within: 10s }]
then: [{ run: lose.yml }]
goals: { rto: 1m, rpo: 0 }
`,
    );
    const client = await probe(place);
    const report = join(dir, 'drill.html');
    const args = ['drill', join(dir, 'drill.yml'), '-i', lab.inventory, '--output', 'json', '--out', report];
    const said = await drillbook(args, { env: { DRILLBOOK_STATE: state } });
    const times = await client.stop();
    const record = JSON.parse(said.stdout) as DrillRecord;
    expect([said.code, record.reasons]).toEqual([1, ['RPO 7 rows, wanted at most 0 rows']]);
    expect(record.before).toEqual({ primary: 'dbk1', standby: 'dbk2' });
    expect(record.measures?.rpo.numbers.toSorted((a, b) => a - b)).toEqual([11, 12, 13, 14, 15, 16, 17]);
    const orderedAt = Date.parse(record.startedAt) + (record.faults[0]?.fromMs ?? 0);
    expect(Math.abs((record.measures?.rtoMs ?? 0) - longestAfter(times, orderedAt))).toBeLessThan(1000);
    expect(record.measures?.acknowledged).toBeGreaterThan(500);
    expect(record.measures?.promoteMs).toBeGreaterThan(0);
    expect(record.measures?.page?.looks).toBeGreaterThan(20);
    expect(record.checks.map(({ tookMs }) => tookMs !== null)).toEqual([true]);
    expect(record.faults.map(({ host, how }) => [host, how])).toEqual([['dbk1', 'asked']]);
    expect(readFileSync(report, 'utf8')).toContain('drillbook drill report');
    expect(await sql(place, 'dbk2', "SHOW TABLES LIKE 'drillbook%'")).toBe('');
    await sql(place, 'dbk2', "DROP TABLE probe; DROP USER probe@'%'");
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Longer than this nobody renews a fault of an engine that died (strikes.ts), and five seconds more. */
const HEALED_MS = 15_000;

/** The engine dies while a network is cut: the node itself puts it right. */
export async function killedInMidFault({ lab, state }: Place): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'drill-'));
  try {
    writeFileSync(
      join(dir, 'drill.yml'),
      `name: Second network
${STEADY}ledger: { before: 1s }
faults: [{ cut: { on: dbk1, links: heartbeats, network: 2 }, for: 5m }]
`,
    );
    const cuts = async (): Promise<string> =>
      (await lab.ssh('dbk1', 'nft list tables; cat /run/drillbook-faults/*/healed 2>/dev/null')).stdout;
    let killedAt = 0;
    const child = start(['drill', join(dir, 'drill.yml'), '-i', lab.inventory, '--output', 'jsonl'], {
      env: { DRILLBOOK_STATE: state },
      onLine(line) {
        const event = JSON.parse(line) as DrillEvent;
        if (event.event !== 'fault' || event.state !== 'in force') return;
        killedAt = performance.now();
        child.kill('SIGKILL');
      },
    });
    const { signal, stderr } = await child.ended;
    expect(signal, stderr).toBe('SIGKILL');
    expect(await cuts()).toContain('table inet drillbook_');
    await expect.poll(cuts, { timeout: 60_000, interval: 200 }).toBe('lease\n');
    expect(performance.now() - killedAt).toBeLessThan(HEALED_MS);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
