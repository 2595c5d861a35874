import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, linkSync, mkdirSync, openSync } from 'node:fs';
import { readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DrillbookError } from '../../core/error.ts';

/** Encrypts what a run keeps and nobody is to read, with the key of the state folder (AES-256-GCM). */
export interface Sealer {
  /** `about` says what it is, and has to be the same for `open`: sealed parts cannot be exchanged for one another. */
  seal(content: string | Uint8Array, about: string): Uint8Array;
  /** Throws `journal.key` without the key it was sealed with, `journal.broken` where it was changed since. */
  open(sealed: Uint8Array, about: string): Buffer;
}

const KEY_BYTES = 32;
const ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = ID_BYTES + NONCE_BYTES + TAG_BYTES;

const idOf = (key: Buffer): Buffer => createHash('sha256').update(key).digest().subarray(0, ID_BYTES);

const keyError = (path: string, why: string, hint: string, cause?: unknown): DrillbookError =>
  new DrillbookError('journal.key', `the key ${path} ${why}`, { hint, cause });

const BACK =
  'what runs keep sealed cannot be read without it; put it back from where the state folder came from';

function readKey(path: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw keyError(path, `cannot be read: ${(cause as Error).message.split(',')[0]}`, BACK, cause);
  }
  try {
    const { mode } = fstatSync(file);
    if ((mode & 0o077) !== 0)
      throw keyError(path, 'can be read by others', `chmod 600 ${path}, and see who may have read it`);
    const key = readFileSync(file);
    if (key.length !== KEY_BYTES) throw keyError(path, `is damaged: it is not ${KEY_BYTES} bytes long`, BACK);
    return key;
  } finally {
    closeSync(file);
  }
}

/** Makes the key, unless another process was faster: its name appears only with all of it on the disk. */
function makeKey(stateDir: string, path: string): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, randomBytes(KEY_BYTES));
    fsyncSync(file);
    linkSync(draft, path);
    const folder = openSync(stateDir, 'r');
    fsyncSync(folder);
    closeSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    closeSync(file);
    unlinkSync(draft);
  }
}

/** The sealer of a state folder; its key is read when it is first needed, and made with the first thing sealed. */
export function sealerOf(stateDir: string): Sealer {
  const path = join(stateDir, 'key');
  let known: Buffer | undefined;
  const keyToSeal = (): Buffer => {
    known ??= readKey(path);
    if (!known) makeKey(stateDir, path);
    known ??= readKey(path);
    if (!known) throw keyError(path, 'is missing', BACK);
    return known;
  };
  const keyToOpen = (): Buffer => {
    known ??= readKey(path);
    if (!known) throw keyError(path, 'is missing', BACK);
    return known;
  };
  return {
    seal(content, about) {
      const key = keyToSeal();
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about));
      const text = Buffer.concat([cipher.update(content), cipher.final()]);
      return Buffer.concat([idOf(key), nonce, cipher.getAuthTag(), text]);
    },
    open(sealed, about) {
      const key = keyToOpen();
      const bytes = Buffer.from(sealed);
      if (!bytes.subarray(0, ID_BYTES).equals(idOf(key)))
        throw keyError(path, `is not the one that ${about} was sealed with`, BACK);
      try {
        const nonce = bytes.subarray(ID_BYTES, ID_BYTES + NONCE_BYTES);
        const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
        decipher.setAAD(Buffer.from(about)).setAuthTag(bytes.subarray(ID_BYTES + NONCE_BYTES, HEAD_BYTES));
        return Buffer.concat([decipher.update(bytes.subarray(HEAD_BYTES)), decipher.final()]);
      } catch (cause) {
        throw new DrillbookError('journal.broken', `what is kept sealed of ${about} was changed`, { cause });
      }
    },
  };
}
