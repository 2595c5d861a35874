import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const run = (program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, ...env } });
const script = (shell: string): string =>
  run(process.execPath, ['engine/cli/main.ts', 'completion', shell]).stdout;

const bash = script('bash');

/** What a real bash offers after these words. */
function offered(words: readonly string[], env: NodeJS.ProcessEnv = {}): readonly string[] {
  const asking = `${bash}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _drillbook; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return run('bash', ['-c', asking, 'bash', 'drillbook', ...words], env)
    .stdout.trim()
    .split('\n');
}

test('bash offers commands, then their options, modules and values', () => {
  expect(offered(['mod'])).toEqual(['modules']);
  expect(offered(['run', '--ch'])).toEqual(['--check']);
  expect(offered(['modules', 'line_'])).toEqual(['line_in_file']);
  expect(offered(['plan', '--output', 'j'])).toEqual(['jsonl', 'json']);
  expect(offered(['lint', 'package.j'])).toEqual(['package.json']);
});

test('bash offers the runs of the state folder', () => {
  const state = mkdtempSync(join(tmpdir(), 'drillbook-completion-'));
  mkdirSync(join(state, 'runs', '20260101-000000-abcd'), { recursive: true });
  try {
    expect(offered(['resume', '2026'], { DRILLBOOK_STATE: state })).toEqual(['20260101-000000-abcd']);
  } finally {
    rmSync(state, { recursive: true });
  }
});

test.each(['zsh', 'fish'])('the script for %s names every command', (shell) => {
  const text = script(shell);
  for (const name of ['run', 'resume', 'plan', 'lint', 'modules', 'completion']) expect(text).toContain(name);
});

test('a shell that is not known is told which are', () => {
  const { stderr, status } = run(process.execPath, ['engine/cli/main.ts', 'completion', 'bsh']);
  expect(stderr).toContain('did you mean `bash`?');
  expect(status).toBe(2);
});
