import { readFileSync } from 'node:fs';
import type { BaseAgent, ParsedKey } from 'ssh2';
import type ssh2Module from 'ssh2';
import type { Redactor } from '../core/secret.ts';

type Ssh2 = typeof ssh2Module;

/** A key file: one that can be used, one that wants a passphrase and shows its public half, or why it cannot be used. */
export type KeyFile =
  | { readonly kind: 'open'; readonly key: ParsedKey }
  | { readonly kind: 'locked'; readonly publicKey: ParsedKey }
  | { readonly kind: 'unusable'; readonly why: string };

const one = (key: ParsedKey | ParsedKey[] | Error): ParsedKey | undefined =>
  key instanceof Error ? undefined : Array.isArray(key) ? key[0] : key;

/** The public half of a private key that is encrypted: beside it, or in the clear part of OpenSSH's own format. */
function publicHalf(ssh2: Ssh2, file: string, text: Buffer): ParsedKey | undefined {
  try {
    return one(ssh2.utils.parseKey(readFileSync(`${file}.pub`)));
  } catch {
    const body = /-----BEGIN OPENSSH PRIVATE KEY-----([^-]+)-----END/.exec(text.toString('latin1'))?.[1];
    const bytes = Buffer.from(body ?? '', 'base64');
    try {
      let at = bytes.indexOf(0) + 1;
      const next = (): Buffer => {
        const end = at + 4 + bytes.readUInt32BE(at);
        const part = bytes.subarray(at + 4, end);
        at = end;
        return part;
      };
      for (let i = 0; i < 3; i++) next(); // Cipher, derivation and its options.
      at += 4; // How many keys: one.
      const blob = next();
      const type = blob.subarray(4, 4 + blob.readUInt32BE(0)).toString('latin1');
      return one(ssh2.utils.parseKey(`${type} ${blob.toString('base64')}`));
    } catch {
      return undefined;
    }
  }
}

/** Reads a private key. */
export function readKey(ssh2: Ssh2, file: string, passphrase: string | undefined, canAsk: boolean): KeyFile {
  const unusable = (why: string): KeyFile => ({ kind: 'unusable', why });
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return unusable(
      code === 'ENOENT' ? `${file} is missing` : `${file} cannot be read (${code ?? 'unknown error'})`,
    );
  }
  const parsed = ssh2.utils.parseKey(text, passphrase);
  if (!(parsed instanceof Error)) {
    const key = one(parsed);
    return key ? { kind: 'open', key } : unusable(`${file} holds no key`);
  }
  if (/no passphrase given/i.test(parsed.message)) {
    const publicKey = canAsk ? publicHalf(ssh2, file, text) : undefined;
    if (publicKey) return { kind: 'locked', publicKey };
    return unusable(`${file} is encrypted and no passphrase is given`);
  }
  if (passphrase !== undefined && /decrypt|passphrase|integrity|checksum/i.test(parsed.message))
    return unusable(`the passphrase of ${file} is wrong`);
  return unusable(`${file} is not a private key that can be used (${parsed.message})`);
}

const TRIES = 3;
/** Key file → it, opened; asked for once, however many hosts take it. */
const opened = new Map<string, Promise<ParsedKey | undefined>>();

async function askFor(
  ssh2: Ssh2,
  file: string,
  ask: (question: string) => Promise<string>,
  redactor: Redactor,
): Promise<ParsedKey | undefined> {
  for (let i = 0; i < TRIES; i++) {
    const passphrase = await ask(`Passphrase of ${file}: `);
    if (passphrase === '') return undefined;
    redactor.add(passphrase);
    const found = readKey(ssh2, file, passphrase, false);
    if (found.kind === 'open') return found.key;
  }
  return undefined;
}

/** An agent that holds one encrypted key, and asks for its passphrase when the server has taken the public half. */
export function lockedKeyAgent(
  ssh2: Ssh2,
  file: string,
  publicKey: ParsedKey,
  ask: (question: string) => Promise<string>,
  redactor: Redactor,
): BaseAgent {
  class LockedKey extends ssh2.BaseAgent<ParsedKey> {
    override getIdentities(callback: (error: Error | undefined, keys?: ParsedKey[]) => void): void {
      callback(undefined, [publicKey]);
    }
    override sign(
      _key: unknown,
      data: Buffer,
      options: unknown,
      callback?: (error?: Error, signature?: Buffer) => void,
    ): void {
      const key = opened.get(file) ?? askFor(ssh2, file, ask, redactor);
      opened.set(file, key);
      key.then(
        (found) => {
          if (!found) {
            opened.delete(file);
            return callback?.(new Error(`the passphrase of ${file} is wrong`));
          }
          const { hash } = (options ?? {}) as { hash?: string };
          const signature = found.sign(data, hash) as Buffer | Error;
          if (signature instanceof Error) callback?.(signature);
          else callback?.(undefined, signature);
        },
        (error: unknown) => {
          opened.delete(file);
          callback?.(error instanceof Error ? error : new Error(String(error)));
        },
      );
    }
  }
  return new LockedKey();
}
