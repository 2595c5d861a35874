import { expect, test } from 'vitest';
import type { Happening } from '../../engine/core/event.ts';
import { openView, type ViewOptions } from '../../engine/report/view.ts';
import { asEvents, begins, ends, finished, screen, started, viewOptions } from './_events.ts';

async function shown(
  happenings: readonly Happening[],
  more: Partial<ViewOptions> = {},
  kind: 'plain' | 'jsonl' = 'plain',
): Promise<string> {
  const { screen: stdout, text } = screen();
  const view = await openView(kind, viewOptions(stdout, more));
  for (const event of asEvents(happenings)) view.show(event);
  await view.close();
  return text();
}

const config = { what: 'content of /etc/my.cnf', before: 'a\nb\nc\n', after: 'a\nx\nc\n' };

test('jsonl gives each event on a line of its own, exactly as it is', async () => {
  const happenings = [started(['dbk1']), ends('dbk1', { result: { stdout: 'a\nb' } })];
  const lines = (await shown(happenings, {}, 'jsonl')).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual(asEvents(happenings));
});

test('the head names the run, the playbook, the inventory and who runs it', async () => {
  const text = await shown([started(['dbk1', 'dbk2'])]);
  for (const word of ['RUN R1', 'A playbook', 'a.yml', 'inv.yml', 'ann@jump', 'dbk1, dbk2']) {
    expect(text).toContain(word);
  }
  expect(text).not.toContain('CHECK MODE');
  expect(await shown([started(['dbk1'], true)])).toContain('CHECK MODE');
});

test('what guards each pair stands at the head and in the recap', async () => {
  const guarded = { ...started(['dbk1']), protection: { dbk: 'none: both serve' } } as Happening;
  expect(await shown([guarded])).toMatch(/^ {2}protection dbk: none: both serve$/m);
  expect(await shown([guarded, finished('done')])).toMatch(/^PROTECTION\n {2}dbk: none: both serve$/m);
  expect(await shown([started(['dbk1']), finished('done')])).not.toMatch(/protection/i);
});

test('a step is one line per host with outcome, host, time, name and reason', async () => {
  const text = await shown([
    started(['dbk1', 'dbk2']),
    ends('dbk1', { outcome: 'changed', durationMs: 12_400 }),
    ends('dbk2', { outcome: 'failed', reason: 'no space left', result: { stderr: 'dpkg: error\n' } }),
  ]);
  expect(text).toMatch(/^00:00:01 {2}changed +dbk1 +12 s +Packages$/m);
  expect(text).toMatch(/^00:00:02 {2}FAILED +dbk2 +1\.2 s +Packages — no space left$/m);
  expect(text).toMatch(/\| dpkg: error/);
});

test('in check mode a step would change, it has not', async () => {
  const text = await shown([started(['dbk1'], true), ends('dbk1', { outcome: 'changed' }), finished('done')]);
  expect(text).toMatch(/^00:00:01 {2}would change +dbk1/m);
  expect(text).toContain('WHAT WOULD CHANGE');
  expect(text).not.toMatch(/\bchanged +dbk1/);
});

test('changes are listed; their diff is there when asked for', async () => {
  const events = [started(['dbk1']), ends('dbk1', { outcome: 'changed', changes: [config] })];
  const brief = await shown(events);
  expect(brief).toContain('content of /etc/my.cnf: +1 -1 lines');
  expect(brief).not.toContain('+x');
  expect(await shown(events, { isDiff: true })).toMatch(/^ +-b\n +\+x$/m);
});

test('a forgiven failure is told without alarm and is not among what failed', async () => {
  const text = await shown([
    started(['dbk1']),
    ends('dbk1', { outcome: 'failed', isForgiven: true, reason: 'was not there' }),
    { ...finished('done'), counts: { dbk1: { failed: 1 } } } as Happening,
  ]);
  expect(text).toMatch(/^00:00:01 {2}failed +dbk1 .* was not there \(goes on all the same\)$/m);
  expect(text).toMatch(/^ {2}dbk1 +1 failed$/m);
  expect(text).not.toContain('WHAT FAILED');
});

test('each failed attempt is told with what is waited for; chatter of a module is thinned out', async () => {
  const say = (message: string, outcome?: 'failed'): Happening => ({
    event: 'step_progress',
    step: 'Packages',
    host: 'dbk1',
    message,
    outcome,
  });
  const chatter = ['one', 'two', 'three', 'four', 'five', 'six', 'seven'].map((word) => say(word));
  const text = await shown([
    started(['dbk1']),
    begins('dbk1'),
    say('attempt 1 of 3: lag is 9 s', 'failed'),
    ...chatter,
  ]);
  expect(text).toContain('failed · attempt 1 of 3: lag is 9 s');
  expect(text).toContain('five');
  expect(text).not.toContain('three');
});

test('items of a loop are told when they changed something or failed', async () => {
  const item = (index: number, outcome: 'ok' | 'changed'): Happening => ({
    event: 'step_progress',
    step: 'Packages',
    host: 'dbk1',
    message: `thing ${index}`,
    item: index,
    outcome,
  });
  const text = await shown([started(['dbk1']), begins('dbk1'), item(0, 'ok'), item(1, 'changed')]);
  expect(text).not.toContain('thing 0');
  expect(text).toContain('item 2: changed · thing 1');
});

test('the recap counts per host, says what changed where, what failed, and how to go on', async () => {
  const text = await shown([
    started(['dbk1', 'dbk2']),
    ends('dbk1', { outcome: 'changed', changes: [config] }),
    ends('dbk2', { outcome: 'changed', changes: [config] }),
    ends('dbk2', { name: 'Start', outcome: 'failed', reason: 'port in use' }),
    finished('failed'),
  ]);
  expect(text).toContain('dbk1  1 ok, 2 changed');
  expect(text).toContain('    dbk1, dbk2: content of /etc/my.cnf: +1 -1 lines');
  expect(text).toContain('dbk2: Start — FAILED: port in use');
  expect(text).toContain('failed · 1 min 1 s · exit code 1');
  expect(text).toContain('drillbook resume R1');
});

test('hosts stand in the order of the inventory, whoever was first', async () => {
  const done = { ...finished('done'), counts: { dbk2: { ok: 1 }, dbk1: { ok: 1 } } } as Happening;
  const text = await shown([started(['dbk1', 'dbk2']), done]);
  expect(text).toMatch(/HOSTS\n {2}dbk1 {2}1 ok\n {2}dbk2 {2}1 ok/);
});

test('an interrupted run says how to go on, a done one does not', async () => {
  const interrupted = await shown([started(['dbk1']), { event: 'run_interrupted', reason: 'Ctrl-C' }]);
  expect(interrupted).toMatch(/interrupted: Ctrl-C\n +to go on: drillbook resume R1/);
  expect(await shown([started(['dbk1']), finished('done')])).not.toContain('resume');
});

test('many hosts with the same change are summed up', async () => {
  const hosts = Array.from({ length: 50 }, (_, index) => `n${index}`);
  const changed = (names: readonly string[]): readonly Happening[] =>
    names.map((host) => ends(host, { outcome: 'changed' }));
  expect(await shown([started(hosts), ...changed(hosts), finished('done')])).toContain(
    '    all 50 hosts: ran',
  );
  expect(await shown([started(hosts), ...changed(hosts.slice(0, 20)), finished('done')])).toContain(
    '    n0, n1, n2, n3, n4, n5 and 14 more: ran',
  );
});

test('no escape sequence reaches the output without colour, whatever a host says', async () => {
  const nasty = 'x\x1b[2J\x1b]0;owned\x07y\r\n\u009b31m';
  const text = await shown(
    [
      started(['dbk1']),
      ends('dbk1', {
        outcome: 'failed',
        reason: nasty,
        result: { stderr: nasty },
        changes: [{ what: nasty, before: `${nasty}\n1`, after: `${nasty}\n2` }],
      }),
      { event: 'run_interrupted', reason: nasty },
    ],
    { isDiff: true, isVerbose: true },
  );

  expect(text).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f]/);
});

test('where the locale knows only ASCII our own signs are ASCII', async () => {
  const happenings = [
    started(['dbk1']),
    ends('dbk1', { outcome: 'failed', reason: 'no' }),
    finished('failed'),
  ];

  expect(await shown(happenings, { isUnicode: false })).toMatch(/^[\0-\x7f]+$/);
});

test('debug shows its text', async () => {
  const debug = { module: 'debug', name: 'Say', result: { msg: 'one\ntwo' } };
  const text = await shown([started(['dbk1']), ends('dbk1', debug)]);
  expect(text).toMatch(/\| one\n +\| two/);
});

test('a reader that went away does not end the run', async () => {
  const { screen: stdout } = screen();
  const view = await openView('plain', viewOptions(stdout));
  stdout.destroy(new Error('EPIPE'));
  for (const event of asEvents([started(['dbk1']), finished('done')])) view.show(event);
  await view.close();
});
