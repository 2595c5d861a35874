import { spawn } from 'node:child_process';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../engine/cli/drillbook.js');

/** The program on a terminal (of `script`); each answer is typed when its question shows. */
export function onTerminal(args: readonly string[], answers: readonly (readonly [string, string])[] = []) {
  // In the shell's place: one that waited for the program would end by the Ctrl-C that was meant for it.
  const command = `exec ${[process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ')}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, SHELL: '/bin/sh' },
  });
  let screen = '';
  let typed = 0;
  let seen = 0;
  child.stdout.on('data', (piece: Buffer) => {
    screen += piece.toString();
    const [question, answer] = answers[typed] ?? [];
    const at = question === undefined ? -1 : screen.indexOf(question, seen);
    if (answer === undefined || at < 0) return;
    seen = at + 1;
    typed++;
    child.stdin.write(answer);
  });
  return new Promise<{ code: number | null; screen: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, screen }));
  });
}
