import { expect, test } from 'vitest';
import type { DrillRecord } from '../../../engine/drill/record.ts';
import type { Seen } from '../../../engine/drill/measures.ts';
import { drillCsv } from '../../../engine/report/drill/figures.ts';
import { drillPage } from '../../../engine/report/drill/html.ts';
import { drillJunit } from '../../../engine/report/drill/junit.ts';
import { lanesOf } from '../../../engine/report/drill/picture.ts';

const seen = (ms: number, node: string, role: string, vips: readonly string[] = []): Seen => ({
  ...{ ms, node, role, isWritable: role === 'primary', vips, replication: 'normal' },
});

const record: DrillRecord = {
  ...{ drill: '20260101-000000-00000', name: 'Power <off>', description: null, file: '/d.yml' },
  ...{ inventory: '/i.yml', cluster: 'dbk', stack: 'dbackup', nodes: ['a', 'b'], operator: 'me' },
  ...{ startedAt: '2026-01-01T00:00:00.000Z', endedMs: 10_000, outcome: 'failed', exitCode: 1 },
  ...{ reasons: ['RPO 2 rows, wanted at most 0 rows'], before: { primary: 'a', standby: 'b' } },
  phases: [
    { phase: 'writing', fromMs: 0, untilMs: 2000 },
    { phase: 'fault', fromMs: 2000, untilMs: 10_000 },
  ],
  faults: [
    { name: 'power off of a', kind: 'power_off', host: 'a', fromMs: 2000, untilMs: 8000, how: 'asked' },
  ],
  checks: [
    { name: 'takeover', withinMs: 5000, tookMs: 2500 },
    { name: 'never', withinMs: 5000, tookMs: null },
  ],
  playbooks: [
    { playbook: '/p/dbackup/resync.yml', fromMs: 8000, untilMs: 9000, run: 'r', exitCode: 0 },
    { playbook: '/p/other.yml', fromMs: 9000, untilMs: 9000, run: null, exitCode: null },
  ],
  goals: [
    { goal: 'rto', wanted: 5000, found: 3000, isMet: true },
    { goal: 'rpo', wanted: 0, found: 2, isMet: false },
  ],
  measures: {
    ...{ rtoMs: 3000, gap: { fromMs: 2000, untilMs: 5000 }, isServing: true },
    ...{ rpo: { rows: 2, ms: 40, numbers: [7, 8] }, acknowledged: 500, rate: 99.6, duplicates: 1 },
    ...{
      unacknowledged: 0,
      errors: { '<ETIMEDOUT>': 3 },
      detectMs: 1000,
      promoteMs: null,
      vipMs: 1500,
      page: null,
    },
  },
  seen: [
    ...[seen(0, 'a', 'primary', ['v']), seen(0, 'b', 'standby'), seen(3000, 'b', 'primary', ['v'])],
    seen(4000, 'a', 'offline'),
  ],
  writes: [12, 10, 0, 90],
};

test('one axis: roles, holders and replication from each change to the next', () => {
  const told = Object.fromEntries(
    lanesOf(record).map(({ name, stretches }) => [
      name,
      stretches.map(({ fromMs, untilMs, text }) => `${fromMs}-${untilMs} ${text}`),
    ]),
  );
  expect(told).toEqual({
    phases: ['0-2000 writing', '2000-10000 fault'],
    faults: ['2000-8000 power off of a'],
    a: ['0-4000 a: primary', '4000-10000 a: offline'],
    b: ['0-3000 b: standby', '3000-10000 b: primary'],
    VIP: ['0-3000 VIPs on a', '3000-4000 VIPs on a and b', '4000-10000 VIPs on b'],
    replication: ['0-3000 into b: normal', '4000-10000 into a: normal'],
    playbooks: ['8000-9000 dbackup/resync.yml'],
  });
});

test('the page needs nothing else, and what others said is nothing but text in it', () => {
  const page = drillPage(record);
  expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)|<ETIMEDOUT>|<off>/);
  for (const text of [
    'Power &lt;off&gt;',
    'missed: at most 0 rows',
    'met: at most 5.0 s',
    'no write acknowledged',
  ])
    expect(page).toContain(text);
});

test('JUnit has a case for the drill, each goal and each expectation', () => {
  const xml = drillJunit(record);
  expect(xml).toContain('tests="5" failures="3" errors="0"');
  expect(xml).toContain('name="rpo" time="0.000"><failure message="RPO 2 rows, wanted at most 0 rows">');
  expect(xml).toContain('name="never" time="5.000"><failure message="not within 5 s">');
});

test('CSV has a row for each figure', () => {
  const rows = drillCsv(record).split('\r\n');
  expect(rows[0]).toBe('drill,started,figure,value,unit,wanted,met,bound');
  expect(rows).toContain('20260101-000000-00000,2026-01-01T00:00:00.000Z,rpo,2,rows,0,false,');
  expect(rows).toContain('20260101-000000-00000,2026-01-01T00:00:00.000Z,promote,,ms,,,');
});

test('where clients had no answer to the end, RTO is told to be longer than what was seen', () => {
  const { measures } = record;
  const open = { ...record, measures: measures && { ...measures, isServing: false } };
  expect(drillPage(open)).toContain('≥ 3.0 s');
  expect(drillPage(record)).not.toContain('≥');
  expect(drillCsv(open)).toContain('rto,3000,ms,5000,true,at least\r\n');
  expect(drillJunit(open)).toContain('rto ≥ 3.0 s');
});

test('names of figures are words', () => {
  expect(drillPage(record)).toContain('<b>RPO before heal</b>');
});

test('a drill that never began has a report too', () => {
  const { measures: _, ...rest } = record;
  const bare = {
    ...rest,
    measures: null,
    outcome: 'stopped' as const,
    seen: [],
    writes: [],
    goals: [],
    checks: [],
  };
  expect(drillPage(bare)).toContain('not begun');
  expect(drillJunit(bare)).toContain('failures="1"');
});
