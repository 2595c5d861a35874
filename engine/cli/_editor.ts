import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { privateFolder } from '../secrets/private-folder.ts';

/** An editor puts the terminal right before it ends; one that does not end is ended. */
const PATIENCE_MS = 3000;

function runEditor(editor: string, path: string, signal: AbortSignal): Promise<void> {
  const child = spawn('sh', ['-c', `exec ${editor} "$1"`, 'sh', path], { stdio: 'inherit' });
  const stop = (): void => {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS).unref();
  };
  signal.addEventListener('abort', stop, { once: true });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, ended) => {
      signal.removeEventListener('abort', stop);
      if (signal.aborted) reject(new DrillbookError('interrupt.edit', 'interrupted: nothing was changed'));
      else if (code === 0) resolve();
      else
        reject(
          new DrillbookError(
            'edit.failed',
            `the editor ended with ${ended ?? `exit code ${code}`}: nothing was changed`,
            {
              hint: `it was \`${editor}\`, by VISUAL or EDITOR`,
            },
          ),
        );
    });
  });
}

/** The text as the operator left it in their editor; it is in memory alone while they are at it, whatever ends it. */
export async function edited(plain: Uint8Array, file: string, signal: AbortSignal): Promise<Buffer> {
  const { VISUAL: visual, EDITOR: own } = process.env;
  signal.throwIfAborted();
  const folder = privateFolder();
  try {
    const path = join(folder.path, basename(file));
    writeFileSync(path, plain, { mode: 0o600, flag: 'wx' });
    await runEditor(visual || own || 'vi', path, signal);
    return readFileSync(path);
  } finally {
    folder.remove();
  }
}
