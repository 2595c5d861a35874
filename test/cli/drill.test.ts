import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drillbook } from './_drillbook.ts';

const dir = mkdtempSync(join(tmpdir(), 'drill-cli-'));
const env = { DRILLBOOK_STATE: join(dir, 'state') };
afterAll(() => rmSync(dir, { recursive: true }));

const DRILL = `name: Lights out
steady: { that: cluster.state == "running" }
faults: [{ power_off: { on: primary }, for: 20s }]
`;
// Addresses for documents (RFC 5737): nobody answers there.
const INVENTORY = `
connection: { connect_timeout: 1s }
hosts:
  a: { connection: { address: 192.0.2.1 } }
  b: { connection: { address: 192.0.2.2 } }
clusters:
  p:
    stack: dbackup
    nodes: [a, b]
    settings:
      heartbeats: [{ addresses: { a: 192.0.2.1, b: 192.0.2.2 } }]
      vips: [{ address: 192.0.2.3, interfaces: { a: eth0, b: eth0 } }]
`;
const [file, hosts] = [join(dir, 'drill.yml'), join(dir, 'hosts.yml')];
beforeAll(() => {
  writeFileSync(file, DRILL);
  writeFileSync(hosts, INVENTORY);
});
const drill = (...more: readonly string[]) => drillbook(['drill', file, '-i', hosts, ...more], { env });

test('outside a lab it asks for a code that says what is done, and does not begin where all is not well', async () => {
  const asked = await drill();
  expect([asked.code, asked.stdout]).toEqual([5, '']);
  expect(asked.stderr).toContain('power off of primary for 20s, on p (a, b), which is no lab');
  const code = /--yes (\w{6})/.exec(asked.stderr)?.[1] ?? '';
  expect((await drill('--yes', 'wrong')).stderr).toContain('the code is wrong');
  const begun = await drill('--yes', code, '--output', 'json');
  const record = JSON.parse(begun.stdout) as { outcome: string; faults: unknown[]; reasons: string[] };
  expect([begun.code, record.outcome, record.faults]).toEqual([5, 'stopped', []]);
  expect(record.reasons.join()).toMatch(/nothing was done/);
}, 60_000);

test('what it names is looked at before anything is asked: nodes of the pair, playbooks without a mistake', async () => {
  const elsewhere = join(dir, 'elsewhere.yml');
  writeFileSync(elsewhere, DRILL.replace('on: primary', 'on: c'));
  writeFileSync(join(dir, 'third.yml'), INVENTORY.replace('hosts:', 'hosts:\n  c: {}'));
  const struck = await drillbook(['drill', elsewhere, '-i', join(dir, 'third.yml')], { env });
  expect([struck.code, struck.stderr]).toEqual([2, expect.stringMatching(/elsewhere\.yml:3:\d+/)]);
  expect(struck.stderr).toContain('`c` is no node of cluster p, nor primary or standby');
  const broken = join(dir, 'broken.yml');
  writeFileSync(broken, `${DRILL}then: [{ run: bent.yml }]\n`);
  writeFileSync(join(dir, 'bent.yml'), 'name: x\nplays: [{ hosts: primary, tasks: [{ shel: ls }] }]\n');
  const bent = await drillbook(['drill', broken, '-i', hosts], { env });
  expect([bent.code, bent.stderr]).toEqual([2, expect.stringMatching(/bent\.yml:2/)]);
}, 60_000);

test('the question and its code cover the playbooks and what they are given', async () => {
  const whole = join(dir, 'whole.yml');
  writeFileSync(
    join(dir, 'mend.yml'),
    `name: Mend
inputs: { how: { type: string } }
plays: [{ hosts: primary, tasks: [{ shell: 'echo {{inputs.how}}', destroys: all of it }] }]
`,
  );
  const codeWith = async (inputs: string): Promise<string> => {
    writeFileSync(whole, `${DRILL}then: [{ run: mend.yml, with: ${inputs} }]\n`);
    const { code, stderr } = await drillbook(['drill', whole, '-i', hosts], { env });
    expect([code, stderr]).toEqual([5, expect.stringContaining('Then mend.yml with {"how":')]);
    expect(stderr).toContain('all of it');
    return /--yes (\w{6})/.exec(stderr)?.[1] ?? '';
  };
  const first = await codeWith('{ how: well }');
  expect(await codeWith('{ how: well }')).toBe(first);
  expect(await codeWith('{ how: badly }')).not.toBe(first);
}, 60_000);

test('the history shows RTO beside the one before, and writes the report of one', async () => {
  const kept = (id: string, rtoMs: number, isServing = true): void => {
    mkdirSync(join(env.DRILLBOOK_STATE, 'drills', id), { recursive: true });
    const measures = {
      rtoMs,
      isServing,
      rpo: { rows: 0, ms: 0, numbers: [] },
      errors: {},
      page: null,
      rate: 1,
    };
    const record = {
      ...{ drill: id, name: 'Night', cluster: 'p', startedAt: '2026-01-01T00:00:00.000Z', outcome: 'passed' },
      ...{ nodes: [], seen: [], writes: [], phases: [], faults: [], checks: [], playbooks: [], goals: [] },
      ...{ reasons: [], before: null, endedMs: 1000, exitCode: 0, description: null, measures },
    };
    writeFileSync(join(env.DRILLBOOK_STATE, 'drills', id, 'drill.json'), JSON.stringify(record));
  };
  kept('20270101-000000-00000', 5000);
  kept('20270102-000000-00000', 3500);
  const { stdout } = await drillbook(['drills', '--limit', '2'], { env });
  expect(stdout).toMatch(/^20270102.*RTO +3\.5 s +-1\.5 +0 lost +p: Night\n20270101.*RTO +5\.0 s/);
  kept('20270103-000000-00000', 2000, false);
  const open = await drillbook(['drills', '--limit', '1'], { env });
  expect(open.stdout).toMatch(/^20270103.*RTO +≥ 2\.0 s +0 lost/);
  rmSync(join(env.DRILLBOOK_STATE, 'drills/20270103-000000-00000'), { recursive: true });
  const csv = await drillbook(['drills', 'last', '--format', 'csv'], { env });
  expect(csv.stdout).toContain('20270102-000000-00000,2026-01-01T00:00:00.000Z,rto,3500,ms,,,');
  expect((await drillbook(['drills', 'last', '--format', 'xls'], { env })).code).toBe(2);
  expect((await drillbook(['drills', 'none', '--format', 'csv'], { env })).code).toBe(2);
});

test('lint tells drills from playbooks by their content', async () => {
  writeFileSync(join(dir, 'slip.yml'), DRILL.replace('faults', 'fautls'));
  const { code, stderr } = await drillbook(['lint', join(dir, 'slip.yml')]);
  expect([code, stderr]).toEqual([2, expect.stringContaining('did you mean `faults`?')]);
});
