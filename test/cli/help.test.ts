import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { call } from './_call.ts';

const COMMANDS = readdirSync('engine/cli')
  .filter((name) => /^[a-z-]+\.ts$/.test(name) && name !== 'main.ts')
  .map((name) => name.slice(0, -3));

test.each(COMMANDS)('%s --help: what it does, how it is called, every option explained', async (name) => {
  const { code, stdout, stderr } = await call([name, '--help']);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(new RegExp(`^\\S.+\n\n  drillbook ${name} ?`));
  const options = stdout.split('\n').filter((line) => /^ {2,6}(?:-\w, )?--/.test(line));
  expect(options.length).toBeGreaterThanOrEqual(5);
  for (const line of options) expect(line).toMatch(/--[\w-]+(?: VALUE)? +\S/);
  expect(stdout).not.toContain('undefined');
  expect((await call(['help', name])).stdout).toBe(stdout);
});

test('the overview has every command with its summary', async () => {
  const { stdout } = await call(['--help']);
  for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, 'm'));
});

test.each([
  [['rnu'], 'did you mean `run`?'],
  [['hlep'], 'did you mean `help`?'],
  [['run', '--taggs'], 'did you mean `--tags`?'],
  [['lint', '-i'], '`--inventory` wants a value'],
  [['lint', '--syntax-check'], 'drillbook lint'],
  [['schema', 'playbok'], 'did you mean `playbook`?'],
  [['run', 'x.yml', '-i', 'y', '--output', 'jsn'], 'live, plain, jsonl or json'],
])('%j: exit code 2 and the nearest word', async (args, wanted) => {
  const { code, stdout, stderr } = await call(args);
  expect(stderr).toContain(wanted);
  expect([code, stdout]).toEqual([2, '']);
});
