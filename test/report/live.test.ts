import { stripVTControlCharacters } from 'node:util';
import { expect, test, vi } from 'vitest';
import type { Happening } from '../../engine/core/event.ts';
import { openView, type Screen, type View } from '../../engine/report/view.ts';
import { openRegion } from '../../engine/report/region.ts';
import { fit, width } from '../../engine/report/text.ts';
import { asEvents, begins, ends, finished, screen, started, viewOptions } from './_events.ts';

/** What a terminal of this size shows (and has scrolled up) after `text`: the few sequences the view uses. */
function terminal(text: string): readonly string[] {
  const lines: string[] = [''];
  let row = 0;

  for (const [piece] of text.matchAll(/\x1b\[[?\d]*[A-Za-z]|\r|\n|[^\x1b\r\n]+/g)) {
    if (piece === '\n') lines[++row] ??= '';
    else if (piece.endsWith('A') && piece.startsWith('\x1b')) row -= Number(piece.slice(2, -1));
    else if (piece === '\x1b[0J') lines.splice(row, Infinity, '');
    else if (!piece.startsWith('\x1b') && piece !== '\r') lines[row] = piece;
  }
  return lines.map((line) => line.trimEnd()).filter((line) => line !== '');
}

async function live(
  stderr: Screen = screen().screen,
  size = { columns: 80, rows: 10 },
): Promise<{ view: View; tell: (list: readonly Happening[]) => void; text: () => string }> {
  const { screen: stdout, text } = screen(size);
  const view = await openView('live', viewOptions(stdout, { stderr }));
  const tell = (list: readonly Happening[]): void => asEvents(list).forEach((event) => view.show(event));
  return { view, tell, text };
}

const HIDE = '\x1b[?25l';
const SHOW = '\x1b[?25h';

test('a finished step is one line, whatever was drawn while it ran', async () => {
  const { view, tell, text } = await live();
  tell([started(['dbk1', 'dbk2']), begins('dbk1'), begins('dbk2')]);
  tell([{ event: 'step_progress', step: 'Packages', host: 'dbk2', message: 'Unpacking', percent: 40 }]);
  await expect.poll(() => stripVTControlCharacters(text())).toContain('40 % · Unpacking');
  expect(terminal(text()).filter((line) => /^ {4}dbk[12] /.test(line))).toHaveLength(2);
  tell([ends('dbk1'), ends('dbk2', { outcome: 'changed' }), finished('done')]);
  await view.close();
  const lines = terminal(text());
  expect(lines.filter((line) => line.includes('Packages'))).toEqual([
    expect.stringMatching(/^✔ Packages — 1 ok, 1 changed 1\.2 s$/),
    '  Packages',
  ]);
  expect(lines.join('\n')).not.toContain('Unpacking');
});

test('a failure keeps its reason and the last words of the program', async () => {
  const { view, tell, text } = await live();
  tell([started(['dbk1']), begins('dbk1')]);
  tell([ends('dbk1', { outcome: 'failed', reason: 'port in use', result: { stderr: 'bind: EADDRINUSE' } })]);
  await view.close();
  expect(terminal(text()).join('\n')).toMatch(
    /✖ Packages — 1 FAILED on dbk1.*\n.*port in use\n.*\| bind: EADDR/,
  );
});

test('with more hosts than rows the drawing stays within the screen and says how many are not shown', async () => {
  const { view, tell, text } = await live();
  const hosts = Array.from({ length: 50 }, (_, index) => `n${index}`);
  tell([started(hosts), ...hosts.map((host) => begins(host))]);
  await expect.poll(() => text()).toContain('50 hosts');
  hosts.forEach((host, i) =>
    tell([{ event: 'step_progress', step: 'Packages', host, message: i < 40 ? '9 s behind' : `row ${i}` }]),
  );
  await expect.poll(() => text()).toContain('more');
  const lines = terminal(text());
  const drawn = lines.slice(lines.findIndex((line) => line.includes('0 of 50')));
  expect(drawn.length).toBeLessThan(10);
  expect(drawn[1]).toMatch(/^ {4}40 hosts +0 s {2}9 s behind · n0, n1, n2,.*…$/);
  expect(drawn.at(-1)).toMatch(/and [0-9] more/);
  await view.close();
});

test('the cursor is hidden while drawing, shown during an aside and at the end', async () => {
  const { view, tell, text } = await live();
  tell([started(['dbk1']), begins('dbk1')]);
  expect(text().endsWith(SHOW)).toBe(false);
  expect(text()).toContain(HIDE);
  await view.aside(async () => expect(text().lastIndexOf(SHOW)).toBeGreaterThan(text().lastIndexOf(HIDE)));
  expect(text().lastIndexOf(HIDE)).toBeGreaterThan(text().lastIndexOf(SHOW));
  tell([{ event: 'run_interrupted', reason: 'Ctrl-C' }]);
  await view.close();
  expect(text().endsWith(SHOW)).toBe(true);
});

test('a message on the same terminal stands above the drawing at once; one to a file goes there', async () => {
  const terminalErr = screen({ columns: 80, rows: 10 });
  const { view, tell, text } = await live(terminalErr.screen);
  tell([started(['dbk1']), begins('dbk1')]);
  terminalErr.screen.write('SIGINT: the step in flight ends\n');
  await expect.poll(() => terminal(text())).toContain('SIGINT: the step in flight ends');
  expect(terminal(text()).at(-1)).toContain('dbk1');
  await view.close();
  terminalErr.screen.write('after\n');
  expect(terminalErr.text()).toBe('after\n');

  const file = screen();
  const second = await live(file.screen);
  second.tell([started(['dbk1']), begins('dbk1')]);
  file.screen.write('to the file\n');
  expect(file.text()).toBe('to the file\n');
  await second.view.close();
});

test('live on what is no terminal is plain', async () => {
  const { screen: stdout, text } = screen();
  const view = await openView('live', viewOptions(stdout));
  asEvents([started(['dbk1']), begins('dbk1'), ends('dbk1')]).forEach((event) => view.show(event));
  await view.close();
  expect(text()).toMatch(/^00:00:02 {2}ok +dbk1/m);
  expect(text()).not.toContain('\x1b');
});

test('after the window became narrower the lines that wrapped are erased too', () => {
  let columns = 80;
  let written = '';
  const region = openRegion({ columns: () => columns, rows: () => 24, write: (text) => (written = text) });
  region.draw(['x'.repeat(70), 'short']);
  columns = 30;
  region.draw(['x']);
  expect(written).toContain('\x1b[4A');
});

test('an unchanged drawing is not written again', () => {
  let writes = 0;
  const region = openRegion({ columns: () => 80, rows: () => 24, write: () => writes++ });
  region.draw(['a']);
  region.draw(['a']);
  expect(writes).toBe(1);
});

test('no drawn line is wider than the terminal, wide characters counted as two columns', async () => {
  const { view, tell, text } = await live(undefined, { columns: 24, rows: 10 });
  tell([started(['信息信息信息122']), begins('信息信息信息122', '文件改变了文件改变了文件改变了')]);
  tell([
    {
      event: 'step_progress',
      step: '文件改变了文件改变了文件改变了',
      host: '信息信息信息122',
      message: '等待等待等待等待',
      percent: 50,
    },
  ]);
  await expect.poll(() => text()).toContain('文件');
  const drawn = terminal(text()).filter((line) => /信息信|文件/.test(line) && !/hosts|RUN/.test(line));
  expect(drawn).toHaveLength(2);
  for (const line of drawn) expect(width(line)).toBeLessThan(24);
  await view.close();
});

test('a tick of the spinner writes its line alone', () => {
  let written = '';
  const region = openRegion({ columns: () => 80, rows: () => 24, write: (text) => (written = text) });
  const hosts = Array.from({ length: 20 }, (_, i) => `host ${i}`);
  region.draw(['- Packages', ...hosts]);
  region.draw(['| Packages', ...hosts]);
  expect(stripVTControlCharacters(written).trim()).toBe('| Packages');
  expect(written).toContain('\x1b[21A');
});

test('a line that is cut keeps its colours closed', () => {
  expect(fit('\x1b[31m信息信息\x1b[39m', 5)).toBe('\x1b[31m信息…\x1b[39m');
  expect(fit('\x1b[31mab\x1b[39m', 2)).toBe('\x1b[31mab\x1b[39m');
});

test('hosts that fail alike are told once', async () => {
  const { view, tell, text } = await live();
  const hosts = ['n1', 'n2', 'n3'];
  const failed = { outcome: 'failed', reason: 'exit code 3', result: { stderr: 'no space' } } as const;
  tell([started(hosts), ...hosts.map((host) => begins(host)), ...hosts.map((host) => ends(host, failed))]);
  tell([finished('failed')]);
  await view.close();
  const shown = terminal(text()).join('\n');
  expect(shown.match(/\| no space/g)).toHaveLength(1);
  expect(shown).toContain('the same on n2, n3');
  expect(shown).toMatch(/n1, n2, n3: Packages — FAILED: exit code 3/);
});

test('a dumb terminal gets plain lines', async () => {
  vi.stubEnv('TERM', 'dumb');
  const { screen: stdout, text } = screen({ columns: 80, rows: 10 });
  const view = await openView('live', viewOptions(stdout));
  vi.unstubAllEnvs();
  asEvents([started(['dbk1']), begins('dbk1'), ends('dbk1')]).forEach((event) => view.show(event));
  await view.close();
  expect(text()).not.toContain('\x1b');
});
