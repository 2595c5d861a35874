import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { promisify } from 'node:util';
import { DrillbookError } from '../core/error.ts';

const MOST_BYTES = 64 * 1024;
/** A program may have to ask somebody. */
const MOST_MS = 5 * 60_000;

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** A file of keys or a password; throws `parse.key`. `what` names it in errors: `password file`. */
export function readKeyFile(path: string, what: string): Buffer {
  try {
    const { size } = statSync(path);
    if (size > MOST_BYTES) throw new DrillbookError('parse.key', `${what} ${path} is too large to be one`);
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof DrillbookError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
    throw new DrillbookError('parse.key', `${what} ${path} ${why}`);
  }
}

/**
 * The password in a file; a file that is a program is run and prints it, as Ansible does it, one whose name ends in
 * `-client` with `--vault-id LABEL`. Throws `parse.key`.
 */
export async function readPassword(file: string, what: string, label?: string): Promise<string> {
  const path = resolve(file);
  let text: string;
  if (isProgram(path)) {
    const isClient = /-client$/.test(basename(path).replace(/\.[^.]*$/, ''));
    const args = isClient && label !== undefined ? ['--vault-id', label] : [];
    try {
      const options = { timeout: MOST_MS, maxBuffer: MOST_BYTES, encoding: 'utf8' } as const;
      text = (await promisify(execFile)(path, args, options)).stdout.replace(/[\r\n]+$/, '');
    } catch (cause) {
      const { code, stderr = '' } = cause as { code?: unknown; stderr?: string };
      const said = stderr.trim().split('\n').at(-1);
      throw new DrillbookError('parse.key', `${what} ${path}, a program, failed (${String(code)})`, {
        hint: said === '' ? undefined : `it said: ${said}`,
      });
    }
  } else text = readKeyFile(path, what).toString().trim();
  if (text === '') throw new DrillbookError('parse.key', `${what} ${path} holds no password`);
  return text;
}
