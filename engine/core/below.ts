import { accessSync, constants, lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StepFailed } from './error.ts';

const refuse = (message: string): never => {
  throw new StepFailed(`${message} on the jump host`);
};

/** Why the file system did not, without what Node puts around it. */
const told = (cause: unknown): string => (cause as Error).message.replace(/, \w+( '[\s\S]*')?$/, '');

/**
 * The path of a file of the jump host below `root`, by names that others may have given: none of them leads out, neither
 * of itself nor through a link that lies there.
 */
export function pathBelow(root: string, names: readonly string[]): string {
  const wrong = names.find((name) => name === '' || name === '.' || name === '..' || /[/\0]/.test(name));
  if (wrong !== undefined || names.length === 0)
    return refuse(`\`${wrong ?? ''}\` is no name for a file below ${root}`);
  let at = root;
  for (const [i, name] of names.entries()) {
    at = join(at, name);
    try {
      const found = lstatSync(at, { throwIfNoEntry: false });
      if (found === undefined) break;
      if (found.isSymbolicLink()) refuse(`${at} is a link, and is not followed`);
      const isLast = i === names.length - 1;
      if (isLast ? !found.isFile() : !found.isDirectory())
        refuse(`${at} is no ${isLast ? 'file' : 'directory'}`);
    } catch (cause) {
      if (cause instanceof StepFailed) throw cause;
      refuse(`cannot look at ${at}: ${told(cause)}`);
    }
  }
  return join(root, ...names);
}

/** What is in the file now; undefined where there is none. */
export function readBelow(root: string, names: readonly string[]): Buffer | undefined {
  const path = pathBelow(root, names);
  try {
    return readFileSync(path);
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'ENOENT'
      ? undefined
      : refuse(`cannot read ${path}: ${told(cause)}`);
  }
}

/** Fails where nothing could be written below `root`, as far as a look can tell. */
export function checkRoom(root: string, names: readonly string[]): void {
  const folders = [root, ...names.slice(0, -1).map((_, i) => join(root, ...names.slice(0, i + 1)))];
  const above = root.split('/').map((_, i, all) => all.slice(0, i + 1).join('/') || '/');
  const there = [...above, ...folders].findLast(
    (path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined,
  );
  try {
    if (there !== undefined) accessSync(there, constants.W_OK | constants.X_OK);
  } catch {
    refuse(`cannot write in ${there}`);
  }
}

/** The folder of the file is made, for nobody else's eyes, with `write` told the path then. */
export function writeBelow(root: string, names: readonly string[], write: (path: string) => void): void {
  const path = pathBelow(root, names);
  try {
    mkdirSync(join(root, ...names.slice(0, -1)), { recursive: true, mode: 0o700 });
    write(path);
  } catch (cause) {
    refuse(`cannot write ${path}: ${told(cause)}`);
  }
}
