import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { drillJsonSchema } from '../../engine/cli/_schema.ts';
import { Problems } from '../../engine/core/error.ts';
import { loadDrill } from '../../engine/drill/load.ts';
import { kindOf } from '../../engine/drill/schema.ts';

function written(text: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'drill-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'drill.yml');
  writeFileSync(file, text);
  return file;
}

/** `line:column message (hint)` of everything that is wrong. */
function told(text: string): readonly string[] {
  try {
    loadDrill(written(text));
  } catch (error) {
    if (!(error instanceof Problems)) throw error;
    return error.problems.map(
      ({ at, message, hint }) => `${at?.line}:${at?.column} ${message} (${hint ?? ''})`,
    );
  }
  return [];
}

const SMALL = `name: x
steady: { that: cluster.state == "running" }
faults:
  - power_off: { on: primary }
`;

test('what is left out has its preset', () => {
  const { ledger, faults, expect: expected, then, goals } = loadDrill(written(SMALL));
  expect(ledger).toMatchObject({ rate: 120, connections: 4, timeout: 500 });
  expect(faults.map((fault) => [kindOf(fault), fault.after, fault.for])).toEqual([
    [{ kind: 'power_off', on: 'primary' }, 0, 30_000],
  ]);
  expect([expected, then, goals]).toEqual([[], [], {}]);
});

test('everything wrong is told at once, each with its place and the nearest word', () => {
  const all = told(`name: x
steady: { that: 'cluster.stat == "running"' }
faults:
  - power_of: { on: primary }
    for: 20s
  - service: { on: primary, nam: a }
  - cut: { on: primary, links: heartbeat }
expect:
  - { name: y, that: 'cluster.primaries == befor.standby', within: 5s }
then: [{ run: ../no/resyn.yml }]
goals: { rtoo: 5s }
`);
  expect(all).toEqual([
    '4:5 `power_of`: unknown key (did you mean `power_off`?)',
    '6:5 `name`: missing ()',
    '6:29 `nam`: unknown key (did you mean `name`?)',
    '7:25 `links`: "heartbeat" is not allowed (did you mean `heartbeats`?)',
    '11:10 `rtoo`: unknown key (did you mean `rto`?)',
    '2:18 `cluster` has no `stat` (did you mean `state`?)',
    '9:44 unknown variable `befor` (did you mean `before`?)',
    '10:10 there is no playbook ../no/resyn.yml ()',
  ]);
});

test.each([
  ['no kind of fault', `${SMALL}  - { for: 5s }\n`, /5:5 `faults`: a fault has exactly one of service, /],
  [
    'two kinds in one',
    SMALL.replace('  - power_off:', '  - clock: { on: primary, by: 1h }\n    power_off:'),
    /exactly one of/,
  ],
  [
    'an expectation that outlasts the fault',
    `${SMALL}expect: [{ name: late, that: 'true', within: 2m }]\n`,
    /5:38 `late` may come when the faults are over already/,
  ],
  [
    'one that outlasts it, counted from when the first one begins',
    `${SMALL}    after: 60s\nexpect: [{ name: late, that: 'true', within: 31s }]\n`,
    /5:38|6:38/,
  ],
  [
    'the steady state by what was before',
    SMALL.replace('cluster.state', 'before.primary'),
    /unknown variable `before`/,
  ],
  [
    'a conflicting row on the primary',
    SMALL.replace('power_off', 'conflicting_row'),
    /breaks the replication into a standby/,
  ],
  [
    'neither a fault nor a playbook that is run in any case',
    "name: x\nsteady: { that: 'true' }\nfaults: []\n",
    /3:1 nothing goes wrong, and no playbook is run in any case/,
  ],
  [
    'what is expected by itself of a planned stop',
    `${readFileSync('playbooks/drills/kwdb-switch.yml', 'utf8').replaceAll('../kwdb', join(process.cwd(), 'playbooks/kwdb'))}expect: [{ name: y, that: 'true' }]\n`,
    /nothing is expected by itself of a drill without a fault/,
  ],
  ['neither delay nor loss', SMALL.replace('power_off', 'slow'), /give `delay`, `loss` or both/],
])('refused: %s', (_, text, wanted) => {
  const all = told(text);
  expect(all).toEqual([expect.stringMatching(wanted)]);
});

test('the JSON Schema takes what the loader takes', () => {
  const reader = z.fromJSONSchema(drillJsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
  for (const file of readdirSync('playbooks/drills').filter((name) => name.endsWith('.yml'))) {
    const path = join('playbooks/drills', file);
    expect(loadDrill(path).name).not.toBe('');
    expect([file, reader.safeParse(parse(readFileSync(path, 'utf8'))).error]).toEqual([file, undefined]);
  }
  expect(reader.safeParse(parse(SMALL.replace('power_off', 'power_of'))).success).toBe(false);
});
