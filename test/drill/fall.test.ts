import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { DrillbookError } from '../../engine/core/error.ts';
import { tell } from '../run/_stand-in.ts';
import { stage } from './_course.ts';

const OFF = 'power_off: { on: primary }';
const SECOND = `faults: [{ ${OFF}, for: 1s }]\n`;

const phasesOf = ({ phases }: { phases: readonly { phase: string }[] }): readonly string[] =>
  phases.map(({ phase }) => phase);

test('a fault lasts its time, is healed, and all is well again', async () => {
  const { fall, down } = stage(`${SECOND}expect: [{ name: y, that: 'true', within: 1s }]\n`);
  const during: boolean[] = [];
  const record = await fall(() => Promise.resolve(void during.push(existsSync(down))));
  expect([record.outcome, record.reasons, during, existsSync(down)]).toEqual(['passed', [], [true], false]);
  expect(phasesOf(record)).toEqual(['fault', 'healed', 'steady after']);
  expect(record.faults.map(({ name, how }) => [name, how])).toEqual([['power off of a', 'asked']]);
});

test.each([
  ['the roles have changed', 'standby', 'primary', /b has become primary meanwhile, so nothing was done/],
  ['it is not well any more', 'standby', 'standby', /the steady state does not hold, so nothing was done/],
])(
  'nothing is done where, right before the fault, %s',
  async (_, a, b, why) => {
    const { fall, dir } = stage(SECOND);
    tell(dir, 'a', a);
    tell(dir, 'b', b);
    const { outcome, faults, reasons } = await fall();
    expect([outcome, faults, reasons]).toEqual(['stopped', [], [expect.stringMatching(why)]]);
  },
  60_000,
);

test('a look that fails in passing right before the fault is repeated', async () => {
  const { fall, dir } = stage(SECOND);
  tell(dir, 'a', 'unknown');
  setTimeout(() => tell(dir, 'a', 'primary'), 1500);
  expect(await fall()).toMatchObject({ outcome: 'passed', reasons: [] });
}, 60_000);

test('nothing is done while this machine keeps a node of the pair without power for another drill', async () => {
  const { fall, course } = stage(SECOND);
  const other = join(dirname(course.request.dir), 'other/drillbook_other_0');
  mkdirSync(other, { recursive: true });
  writeFileSync(join(other, 'host'), 'b\n');
  const { outcome, reasons } = await fall();
  expect([outcome, reasons]).toEqual(['stopped', [expect.stringContaining(`in force on b: ${other}`)]]);
});

test('a second fault that is refused ends the first at once, and the steady state is looked for', async () => {
  const { fall, down } = stage(`faults:
  - { ${OFF}, for: 5m }
  - { power_off: { on: standby }, after: 1s }
  - { ${OFF}, after: 20s }
`);
  const record = await fall();
  expect([record.outcome, record.exitCode, existsSync(down)]).toEqual(['failed', 1, false]);
  expect(record.reasons).toEqual([
    expect.stringMatching(/^power off of b cannot be done: b has no power_off/),
  ]);
  expect([record.faults.length, phasesOf(record)]).toEqual([1, ['fault', 'steady after']]);
}, 60_000);

test('one that is refused first of all leaves nothing begun', async () => {
  const { fall } = stage('faults: [{ power_off: { on: standby } }]\n');
  const { outcome, exitCode, faults } = await fall();
  expect([outcome, exitCode, faults]).toEqual(['stopped', 5, []]);
});

test('without a fault its playbooks are what is measured, in their order', async () => {
  const ran: unknown[] = [];
  const { fall } = stage(`faults: []\nthen: [{ run: book.yml }, { run: book.yml, with: { back: true } }]\n`, {
    run: (_, inputs) => {
      ran.push(inputs);
      return Promise.resolve({ id: 'r', exitCode: 0 });
    },
  });
  const record = await fall();
  expect([record.outcome, ran]).toEqual(['passed', [{}, { back: true }]]);
  expect(phasesOf(record)).toEqual(['planned stop', 'steady after']);
});

test('a drill whose playbook has run is not said to have done nothing', async () => {
  let locks = 0;
  const { fall } = stage(`faults: []\nthen: [{ run: book.yml }]\n`, {
    lock: () =>
      locks++ === 0
        ? Promise.reject(new DrillbookError('guard.lock', 'somebody has the lock'))
        : Promise.resolve(() => Promise.resolve()),
  });
  expect((await fall()).outcome).toBe('failed');
});

test('after an error in mid-drill a pair that is not well is in doubt', async () => {
  const { fall, dir } = stage(`${SECOND}then: [{ run: book.yml }]\n`, {
    lock: () => Promise.reject(new DrillbookError('guard.lock', 'somebody has the lock')),
    run: () => {
      tell(dir, 'a', 'unknown');
      return Promise.resolve({ id: 'r', exitCode: 0 });
    },
  });
  const { outcome, reasons } = await fall();
  expect([outcome, reasons]).toEqual([
    'in_doubt',
    [expect.stringMatching(/^the steady state is not back within 1s/), 'somebody has the lock'],
  ]);
});

test('after an error in mid-drill a pair that is well again ends the drill as failed', async () => {
  const { fall } = stage(`${SECOND}then: [{ run: book.yml }]\n`, {
    lock: () => Promise.reject(new DrillbookError('guard.lock', 'somebody has the lock')),
  });
  const { outcome, reasons } = await fall();
  expect([outcome, reasons]).toEqual(['failed', ['somebody has the lock']]);
});

test('what came to hold within its time counts by when that was seen, not by when the look began', async () => {
  // Each look takes a second and a half.
  const { fall, course } = stage(`${SECOND}expect: [{ name: late, that: 'true', within: 1s }]\n`);
  const { on } = course.request;
  Object.assign(course.request, {
    on: (host: string) => {
      const context = on(host);
      return { ...context, sh: (script: string, how?: object) => context.sh(`sleep 1.5; ${script}`, how) };
    },
  });
  const { outcome, checks } = await fall();
  expect([outcome, checks.map(({ tookMs }) => tookMs)]).toEqual(['failed', [null]]);
}, 60_000);
