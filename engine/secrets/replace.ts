import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
} from 'node:fs';
import { unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

function syncFolder(folder: string): void {
  const directory = openSync(folder, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/**
 * Puts other content into a file, all or nothing, whatever happens meanwhile; owner and mode stay (`isPrivate`: without
 * the rights of others), and so does a link to it. A file that is not there is made with mode 0600.
 */
export function replaceFile(file: string, content: string | Uint8Array, { isPrivate = false } = {}): void {
  const old = statSync(file, { throwIfNoEntry: false });
  const path = old ? realpathSync(file) : file;
  const folder = dirname(path);
  const draft = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  const target = openSync(draft, 'wx', 0o600);
  try {
    writeFileSync(target, content);
    if (old) {
      // Only root gives files away; the owner's own are his already.
      if (process.getuid?.() === 0) fchownSync(target, old.uid, old.gid);
      fchmodSync(target, isPrivate ? old.mode & 0o700 : old.mode & 0o7777);
    }
    fsyncSync(target);
    renameSync(draft, path);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  } finally {
    closeSync(target);
  }
  syncFolder(folder);
}
