import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import { chronicleOf } from '../../engine/report/export/chronicler.ts';
import { csvText } from '../../engine/report/export/csv.ts';
import { htmlPage } from '../../engine/report/export/html.ts';
import { junitXml } from '../../engine/report/export/junit.ts';
import { xlsxBytes } from '../../engine/report/export/xlsx.ts';
import { ensurePackages } from '../_apt.ts';
import { begun, eventful, large, step, timed } from './_runs.ts';

const RUN = '20260302-213000-0a1b2';
const chronicle = (events: readonly RunEvent[]) => chronicleOf(RUN, events);

beforeAll(() => ensurePackages(['python3']));

/** What Python's own readers make of a file. */
function python(script: string, content: string | Buffer): unknown {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-export-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'file');
  writeFileSync(file, content);
  return JSON.parse(
    execFileSync('python3', ['-c', `import sys, json\n${script}`, file], { encoding: 'utf8' }),
  );
}

const HOSTILE = `"'><script>alert(1)</script><img src=x onerror=alert(2)>&\u0000\u001b[31m=cmd|' /C calc'!A0`;

/** The same events with every word that a file or a host could have given made hostile. */
function hostile(events: readonly RunEvent[]): readonly RunEvent[] {
  const kept = ['event', 'outcome', 'at', 'run', 'code'];
  const spoil = (value: unknown, key = ''): unknown => {
    if (typeof value === 'string') return kept.includes(key) ? value : `${HOSTILE}${value}`;
    if (Array.isArray(value)) return value.map((one) => spoil(one));
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [
        name === 'info122' ? `${HOSTILE}info122` : name,
        spoil(one, name),
      ]),
    );
  };
  return events.map((event) => spoil(event) as RunEvent);
}

test('a chronicle tells parts, failures, waits, hosts away, roles and what is bent', () => {
  const told = chronicle(eventful());
  expect(told).toMatchObject({ outcome: 'in_doubt', exitCode: 4, operator: 'ann' });
  expect(told.sessions.map(({ end, operator }) => `${operator} ${end}`)).toEqual([
    'ann unknown',
    'bob finished',
  ]);
  const catchUp = told.steps.find(({ name }) => name === 'Catch up');
  expect(catchUp?.results.map(({ outcome, words }) => [outcome, words.length])).toEqual([
    [null, 3],
    ['changed', 0],
  ]);
  expect(told.roles.map(({ roles }) => roles['info122'])).toEqual(['standby', 'primary']);
  expect(told.away).toMatchObject([{ host: 'info122', until: '2026-03-02T21:30:39.000Z' }]);
  expect(told.obligations).toMatchObject([{ obligation: 'failover-disabled@dbk', closedAt: null }]);
});

test('every report that has a head names what guards the pair', async () => {
  const [first, ...rest] = eventful();
  const told = chronicle([{ ...first, protection: { dbk: 'none: both serve' } } as RunEvent, ...rest]);
  expect(told.protection).toEqual({ dbk: 'none: both serve' });
  expect(htmlPage(told)).toContain('dbk: none: both serve');
  expect(junitXml(told)).toContain('<system-out>dbk: none: both serve</system-out>');
  const strings = `import zipfile
book = zipfile.ZipFile(sys.argv[1])
print(json.dumps(''.join(book.read(name).decode() for name in book.namelist() if name.endswith('.xml'))))`;
  expect(python(strings, await xlsxBytes(told))).toContain('dbk: none: both serve');
});

test('what was under way where all that is known ends is neither done nor left out', () => {
  const told = chronicle(eventful().slice(0, 16));
  expect(told).toMatchObject({ outcome: 'unfinished', exitCode: null });
  const open = told.steps.flatMap(({ results }) => results.filter(({ outcome }) => outcome === null));
  expect(open).toHaveLength(1);
  expect(told.counts['info122']).toEqual({ ok: 1, changed: 3 });
});

test('a host that never came back is away until its step gave up; what is bent twice is one thing, put right once', () => {
  const bent = {
    event: 'obligation_opened',
    obligation: 'o@a',
    host: 'a',
    message: 'bent',
    step: 'p/s',
  } as const;
  const told = chronicle(
    timed(
      [
        [0, begun(['a'])],
        [1, bent],
        [2, { event: 'host_away', host: 'a', message: 'lost', forMs: 1000 }],
        ...step([1, 1002], 'a', 'S', { id: 'p/s', outcome: 'unreachable', reason: 'away' }),
        [2000, { event: 'run_resumed', operator: 'bob' }],
        [2001, bent],
        [2002, { event: 'obligation_closed', obligation: 'o@a', host: 'a', by: 'p/t' }],
        [9000, { event: 'run_finished', outcome: 'done', exitCode: 0, durationMs: 7000, counts: {} }],
      ].toSorted(([x], [y]) => Number(x) - Number(y)) as Parameters<typeof timed>[0],
    ),
  );
  expect(told.away).toMatchObject([{ until: '2026-03-02T21:30:01.002Z' }]);
  expect(told.obligations).toMatchObject([{ closedBy: 'p/t' }]);
  expect(told.obligations).toHaveLength(1);
});

test('the page needs nothing from elsewhere, and its policy lets nothing but its own style in', () => {
  const page = htmlPage(chronicle(eventful()));
  expect(page).not.toMatch(/\b(src|href)="(?!#)|@import|url\((?!#)|https?:/);
  const [, style = ''] = /<style>([^]*?)<\/style>/.exec(page) ?? [];
  const hash = createHash('sha256').update(style).digest('base64');
  expect(page.replaceAll('&#39;', "'")).toContain(`default-src 'none'; style-src 'sha256-${hash}'`);
  expect(page).not.toMatch(/ style="/);
});

test('hostile names and values stay text: no tag, attribute or control character of theirs is in the page', () => {
  const page = htmlPage(chronicle(hostile(eventful())));
  expect(page).not.toMatch(/<(script|img)|[\0-\x08\x1b]/i);
  const tags = [...page.matchAll(/<[a-z][^>]*>/g)].map(([tag]) => tag);
  expect(tags.filter((tag) => /\son\w+\s*=|alert/.test(tag.replace(/"[^"]*"/g, '')))).toEqual([]);
  expect(page).toContain('&lt;script&gt;alert(1)');
});

test('the timeline shows waits, a host away, the interruption, and roles as they change', () => {
  const page = htmlPage(chronicle(eventful()));
  for (const look of ['wait', 'away', 'gap', 'role-primary', 'role-standby', 'bar open', 'bar forgiven'])
    expect(page).toContain(`class="${look}"`);
  expect(page).toContain('interrupted for 1 h 30 min, then resumed');
  expect(page).toContain('<span class="del">-bind_address = 127.0.0.1</span>');
  expect(page).toContain('drillbook resume 20260302-213000-0a1b2');
});

test('50 hosts and 200 steps make a page that can be read: one line a step, hosts that are alike together', () => {
  const page = htmlPage(chronicle(large(50, 200)));
  expect(page.length).toBeLessThan(3_000_000);
  expect(page.match(/<details/g)).toHaveLength(200);
  expect(page.match(/<tr>/g)?.length).toBeLessThan(300);
  expect(page).toContain('and 39 more');
});

test('JUnit is XML whatever a program printed, with its numbers as its cases are', () => {
  const events = timed([
    [0, begun(['a\u0001', 'b'])],
    [1, { event: 'play_started', play: 'p', name: 'P', hosts: ['a\u0001', 'b'] }],
    ...step([2, 1502], 'a\u0001', 'Fails <b>', {
      outcome: 'failed',
      reason: 'no \u001b[31m"luck"',
      result: { stderr: ']]>\u0000\ud800&' },
    }),
    ...step([2, 3], 'b', 'Fails <b>', { outcome: 'unreachable', reason: 'gone' }),
    ...step([4, 4], 'b', 'Skips', { outcome: 'skipped', reason: 'when: x' }),
    ...step([4, 5], 'b', 'Goes on', { outcome: 'failed', isForgiven: true, reason: 'exit code 3' }),
    [6, { event: 'run_finished', outcome: 'failed', exitCode: 1, durationMs: 6, counts: {} }],
  ]);
  const read = python(
    `import xml.etree.ElementTree as e
root = e.parse(sys.argv[1]).getroot()
print(json.dumps({'all': root.attrib, 'cases': [[c.attrib['name'], c.attrib['time'], [x.tag for x in c], ''.join(c.itertext())] for c in root.iter('testcase')], 'suites': [dict(s.attrib) for s in root]}))`,
    junitXml(chronicle(events)),
  ) as {
    all: Record<string, string>;
    cases: [string, string, string[], string][];
    suites: Record<string, string>[];
  };
  expect(read.all).toMatchObject({ tests: '5', failures: '2', errors: '1', skipped: '1' });
  expect(read.cases.map(([name, , tags]) => [name, ...tags])).toEqual([
    [`run ${RUN}`, 'failure'],
    ['Fails <b>', 'failure'],
    ['Fails <b>', 'error'],
    ['Skips', 'skipped'],
    ['Goes on', 'system-out'],
  ]);
  expect(read.cases[1]?.[1]).toBe('1.500');
  expect(read.suites.map(({ tests }) => tests)).toEqual(['1', '1', '3']);
});

const readCsv = (text: string): string[][] =>
  python(
    'import csv\nprint(json.dumps(list(csv.reader(open(sys.argv[1], newline="", encoding="utf-8"), strict=True))))',
    text,
  ) as string[][];

test('CSV is read back as it was, and no cell is a formula', () => {
  const rows = ['=1+1', '+1', '-1', '@x', '\t=1', '\r=1', '＝1', 'a "b", c\nd', 'fine'].flatMap((name, i) =>
    step([i, i + 1], 'a', name, { outcome: 'changed', id: `p/${i}` }),
  );
  const [head = [], ...body] = readCsv(csvText(chronicle(timed([[0, begun(['a'])], ...rows]))));
  const names = body.map((row) => row[head.indexOf('name')]);
  expect(names).toEqual(["'=1+1", "'+1", "'-1", "'@x", "'\t=1", "'\r=1", "'＝1", 'a "b", c\nd', 'fine']);
  const cells = readCsv(csvText(chronicle(hostile(eventful())))).flat();
  expect(cells.filter((text) => /^[=+\-@]/.test(text))).toEqual([]);
});

test('the workbook has dates and durations as such, a frozen and filtered head, and text that is text', async () => {
  const read = python(
    `import zipfile, re, xml.etree.ElementTree as e
z = zipfile.ZipFile(sys.argv[1]); n = '{http://schemas.openxmlformats.org/spreadsheetml/2006/main}'
names = [s.attrib['name'] for s in e.fromstring(z.read('xl/workbook.xml')).iter(n + 'sheet')]
strings = [''.join(x.itertext()) for x in e.fromstring(z.read('xl/sharedStrings.xml')).iter(n + 'si')]
styles = e.fromstring(z.read('xl/styles.xml'))
formats = {f.attrib['numFmtId']: f.attrib['formatCode'] for f in styles.iter(n + 'numFmt')}
xfs = [formats.get(x.attrib.get('numFmtId'), '') for x in styles.find(n + 'cellXfs')]
s = e.fromstring(z.read('xl/worksheets/sheet2.xml'))
def cell(c):
  v = c.find(n + 'v')
  if c.attrib.get('t') == 's': return strings[int(v.text)]
  return None if v is None else [float(v.text), xfs[int(c.attrib.get('s', 0))]]
rows = [[cell(c) for c in r] for r in s.iter(n + 'row')]
print(json.dumps({'names': names, 'rows': rows, 'pane': [p.attrib for p in s.iter(n + 'pane')], 'filter': [f.attrib for f in s.iter(n + 'autoFilter')], 'formulas': sum(1 for _ in s.iter(n + 'f'))}))`,
    await xlsxBytes(chronicle(hostile(eventful()))),
  ) as {
    names: string[];
    rows: unknown[][];
    pane: Record<string, string>[];
    filter: Record<string, string>[];
    formulas: number;
  };
  expect(read.names).toEqual(['Run', 'Steps', 'Changes', 'Hosts']);
  expect(read.pane).toMatchObject([{ state: 'frozen', ySplit: '1' }]);
  expect(read.filter).toEqual([{ ref: 'A1:M13' }]);
  expect(read.formulas).toBe(0);
  const packages = read.rows[3] ?? [];
  // Days since 1899-12-30: the serial number of 2026-03-02 is 46083.
  const moment = 46_083 + (21.5 * 3600 + 4) / 86_400;
  expect(packages[0]).toEqual([expect.closeTo(moment, 6), 'yyyy-mm-dd hh:mm:ss']);
  expect(packages[8]).toEqual([expect.closeTo(17 / 86_400, 9), '[h]:mm:ss.000']);
  expect(packages[4]).toContain('<script>');
});

test('the shape of the JSON report is the one that docs/contract.md tells', () => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/contract.md'), 'utf8');
  const [, told = ''] = /\*\*json\*\*:([^]*?)\n\n/.exec(docs) ?? [];
  const named = new Set([...told.matchAll(/"(\w+)"/g)].map(([, name]) => name));
  const free = ['options', 'counts', 'result', 'roles', 'changed'];
  const keys = (value: unknown): string[] => {
    if (Array.isArray(value)) return value.flatMap(keys);
    if (value === null || typeof value !== 'object') return [];
    return Object.entries(value).flatMap(([key, one]) => [
      key,
      ...(free.includes(key) && !Array.isArray(one) ? [] : keys(one)),
    ]);
  };
  const used = new Set(keys(chronicle(eventful())));
  expect([...used].filter((key) => !named.has(key))).toEqual([]);
  expect([...named].filter((name) => name !== undefined && !used.has(name))).toEqual([]);
});
