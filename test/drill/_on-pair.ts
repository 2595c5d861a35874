import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { DrillEvent, DrillRecord } from '../../engine/drill/record.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { drillbook, start } from '../cli/_drillbook.ts';
import { DROP_PROBE, longestAfter, MAKE_PROBE, startProbe } from './_probe.ts';

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
    await sql(place, 'dbk1', MAKE_PROBE);
    const client = startProbe(place.vip);
    const report = join(dir, 'drill.html');
    const args = ['drill', join(dir, 'drill.yml'), '-i', lab.inventory, '--output', 'json', '--out', report];
    const said = await drillbook(args, { env: { DRILLBOOK_STATE: state } });
    const seen = await client.stop();
    const record = JSON.parse(said.stdout) as DrillRecord;
    expect([said.code, record.reasons]).toEqual([1, ['RPO 7 rows, wanted at most 0 rows']]);
    expect(record.before).toEqual({ primary: 'dbk1', standby: 'dbk2' });
    expect(record.measures?.rpo.numbers.toSorted((a, b) => a - b)).toEqual([11, 12, 13, 14, 15, 16, 17]);
    const orderedAt = Date.parse(record.startedAt) + (record.faults[0]?.fromMs ?? 0);
    expect(Math.abs((record.measures?.rtoMs ?? 0) - longestAfter(seen, orderedAt))).toBeLessThan(1000);
    expect(record.measures?.acknowledged).toBeGreaterThan(500);
    expect(record.measures?.promoteMs).toBeGreaterThan(0);
    expect(record.measures?.page?.looks).toBeGreaterThan(20);
    expect(record.checks.map(({ tookMs }) => tookMs !== null)).toEqual([true]);
    expect(record.faults.map(({ host, how }) => [host, how])).toEqual([['dbk1', 'asked']]);
    expect(readFileSync(report, 'utf8')).toContain('drillbook drill report');
    expect(await sql(place, 'dbk2', "SHOW TABLES LIKE 'drillbook%'")).toBe('');
    await sql(place, 'dbk2', DROP_PROBE);
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
