import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import { parse } from 'yaml';
import { drillDir, drillIds } from '../../engine/drill/record.ts';
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
    expect(Math.abs((record.measures?.rtoMs ?? 0) - longestAfter(seen, orderedAt).ms)).toBeLessThan(1000);
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

/** When the engine dies: so long after a fault was ordered, or is in force. */
export interface Death {
  /** As in a drill file. */
  readonly fault: Readonly<Record<string, unknown>>;
  readonly state: 'ordered' | 'in force';
  readonly lateMs: number;
}
const CUT: Death = {
  fault: { cut: { on: 'dbk1', links: 'heartbeats', network: 2 } },
  ...{ state: 'in force', lateMs: 0 },
};

/** How each fault of which there is a trace has ended, `-` of one that has not. */
const ENDS = `for at in /run/drillbook-faults/* /var/lib/drillbook-faults/*; do
  [ -d "$at" ] && { cat "$at/healed" 2>/dev/null || echo -; }
done; :`;
/** What a fault has put where it could still be felt: tables, units, stopped processes, files, mounts, rows. */
export const TRACES = `nft list tables | grep drillbook_; ls -d /run/systemd/system/*/zz-drillbook-fault.conf 2>/dev/null
grep -hE '^[0-9]+ \\(.*\\) T ' /proc/[0-9]*/stat 2>/dev/null
ls -d /srv/*/.drillbook-* 2>/dev/null
awk '$2 ~ "^/(srv|var)/" && $4 ~ /^ro(,|$)/' /proc/mounts
mysql -BN dbackup3 -e 'SELECT n FROM drillbook_ledger WHERE n < 0' 2>/dev/null; :`;
/** Accounts with their passwords, but for that of the drill. */
const ACCOUNTS = `mysql -BN -e "SELECT User, Host, authentication_string FROM mysql.user WHERE User <> 'drillbook'" | sort`;

/** The engine dies while a fault is in force: what watches over the fault puts it right, within its lease and five seconds. */
export async function killedInMidFault({ lab, state }: Place, death = CUT): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'drill-'));
  try {
    const drill = { ...parse(STEADY), name: 'Killed', ledger: { before: '1s' } };
    const faults = [{ ...death.fault, for: '5m' }];
    writeFileSync(join(dir, 'drill.yml'), JSON.stringify({ ...drill, faults }));
    const known = new Set(drillIds(state));
    const onBoth = (script: string): Promise<string[]> =>
      Promise.all(['dbk1', 'dbk2'].map(async (node) => (await lab.ssh(node, script)).stdout));
    const accounts = await onBoth(ACCOUNTS);
    let killed: Promise<number> | undefined;
    const child = start(['drill', join(dir, 'drill.yml'), '-i', lab.inventory, '--output', 'jsonl'], {
      env: { DRILLBOOK_STATE: state },
      onLine(line) {
        const event = JSON.parse(line) as DrillEvent;
        if (event.event !== 'fault' || event.state !== death.state) return;
        killed = pause(death.lateMs).then(() => {
          child.kill('SIGKILL');
          return performance.now();
        });
      },
    });
    const { signal, stderr } = await child.ended;
    expect(signal, stderr).toBe('SIGKILL');
    const here = drillIds(state).filter((id) => !known.has(id));
    const ends = async (): Promise<string[]> => {
      const there = await onBoth(ENDS);
      const ours = here.flatMap((id) =>
        readdirSync(drillDir(state, id))
          .filter((name) => name.startsWith('drillbook_'))
          .map((name) => {
            const file = join(drillDir(state, id), name, 'healed');
            return existsSync(file) ? readFileSync(file, 'utf8') : '-\n';
          }),
      );
      return [...there, ...ours].join('').split('\n').filter(Boolean);
    };
    if (death.state === 'in force') expect((await ends()).length).toBe(1);
    await pause(Math.max(0, ((await killed) ?? 0) + HEALED_MS - performance.now()));
    // What was only ordered when the engine died may not have begun.
    const found = await ends();
    expect(found.filter((end) => end !== 'lease')).toEqual([]);
    if (death.state === 'in force') expect(found).toHaveLength(1);
    expect(await onBoth(TRACES)).toEqual(['', '']);
    expect(accounts.join()).not.toBe('');
    expect(await onBoth(ACCOUNTS)).toEqual(accounts);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
