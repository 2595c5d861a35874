import { createCipheriv, createDecipheriv, randomBytes, scrypt as scryptCallback } from 'node:crypto';
import { promisify } from 'node:util';
import type { Identity, Recipient, Stanza } from 'age-encryption';
import { ARMOR } from './encrypted.ts';

/** What an age file may be opened with. */
export interface AgeKeys {
  /** `AGE-SECRET-KEY-…` */
  readonly identities: readonly string[];
  readonly passphrases: readonly string[];
}

/** For whom an age file is written: `age1…` recipients, or whoever knows a passphrase. */
export type AgeRecipients = { readonly recipients: readonly string[] } | { readonly passphrase: string };

/** Not one of the keys is among its recipients; `kinds` says whom it was written for (`scrypt`, `X25519`, …). */
export class NoAgeKey extends Error {
  readonly kinds: readonly string[];

  constructor(kinds: readonly string[]) {
    super('no key opens it');
    this.kinds = kinds;
  }
}

/** It is not what an age file has to be, in words. */
export class BrokenAge extends Error {}

const scrypt = promisify<string, Uint8Array, number, object, Buffer>(scryptCallback);

/** 1 GB of memory and some seconds: a file that wants more is a hostile one. age itself writes 18. */
const MOST_WORK = 20;

/** Work that is left, as a number of scrypt's N: many small files are as much as a large one. */
export interface Budget {
  left: number;
}
export const newBudget = (): Budget => ({ left: 4 * 2 ** MOST_WORK });

const CIPHER = 'chacha20-poly1305';
const NONCE = Buffer.alloc(12);
const SALT_BYTES = 16;
/** What age itself writes: about a second. */
const USUAL_WORK = 18;

/** age's scrypt recipient (age-encryption.org/v1) by the derivation of Node, some times faster than the library's. */
function passphraseKey(passphrase: string, salt: Uint8Array, logN: number): Promise<Buffer> {
  const N = 2 ** logN;
  const about = Buffer.concat([Buffer.from('age-encryption.org/v1/scrypt'), salt]);
  return scrypt(passphrase, about, 32, { N, r: 8, p: 1, maxmem: 130 * N * 8 });
}

async function unwrapWith(
  passphrase: string,
  { args, body }: Stanza,
  budget: Budget,
): Promise<Uint8Array | null> {
  const [, salt = '', factor = ''] = args;
  const logN = /^[1-9]\d?$/.test(factor) ? Number(factor) : Number.POSITIVE_INFINITY;
  if (logN > MOST_WORK)
    throw new BrokenAge(
      `its scrypt work factor is 2^${factor.slice(0, 4)}, and at most 2^${MOST_WORK} is worked off`,
    );
  budget.left -= 2 ** logN;
  if (budget.left < 0)
    throw new BrokenAge('too many texts with a passphrase of their own: it would take minutes to open them');
  const bytes = Buffer.from(salt, 'base64');
  if (bytes.length !== SALT_BYTES || body.length !== 32) throw new BrokenAge('its scrypt stanza is damaged');
  const key = await passphraseKey(passphrase, bytes, logN);
  const decipher = createDecipheriv(CIPHER, key, NONCE, { authTagLength: 16 });
  decipher.setAuthTag(body.subarray(16));
  try {
    return Buffer.concat([decipher.update(body.subarray(0, 16)), decipher.final()]);
  } catch {
    return null;
  }
}

async function passphraseRecipient(passphrase: string): Promise<Recipient> {
  const { Stanza } = await import('age-encryption');
  return {
    async wrapFileKey(fileKey) {
      const salt = randomBytes(SALT_BYTES);
      const key = await passphraseKey(passphrase, salt, USUAL_WORK);
      const cipher = createCipheriv(CIPHER, key, NONCE, { authTagLength: 16 });
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      return [new Stanza(['scrypt', salt.toString('base64').replace(/=+$/, ''), String(USUAL_WORK)], body)];
    },
  };
}

function passphraseIdentity(passphrase: string, budget: Budget): Identity {
  return {
    async unwrapFileKey(stanzas) {
      const [stanza] = stanzas;
      if (stanza?.args[0] !== 'scrypt' || stanzas.length !== 1) return null;
      return unwrapWith(passphrase, stanza, budget);
    },
  };
}

/** An age file, opened. */
export interface OpenedAge {
  readonly plain: Buffer;
  /** Whom it was written for, one for each recipient: `scrypt`, `X25519`, … */
  readonly kinds: readonly string[];
}

export const isArmored = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes).toString('latin1').trimStart().startsWith(ARMOR);

/** The plain content of an age file, binary or armored. Throws `NoAgeKey` or `BrokenAge`. */
export async function openAge(bytes: Uint8Array, keys: AgeKeys, budget: Budget): Promise<OpenedAge> {
  const { armor, Decrypter } = await import('age-encryption');
  let kinds: readonly string[] | undefined;
  const decrypter = new Decrypter();
  decrypter.addIdentity({
    unwrapFileKey(stanzas: readonly Stanza[]) {
      kinds = stanzas.map(({ args }) => args[0] ?? '');
      return null;
    },
  });
  for (const passphrase of keys.passphrases) decrypter.addIdentity(passphraseIdentity(passphrase, budget));
  for (const identity of keys.identities) decrypter.addIdentity(identity);
  try {
    const binary = isArmored(bytes) ? armor.decode(Buffer.from(bytes).toString('latin1')) : bytes;
    const plain = Buffer.from(await decrypter.decrypt(binary));
    return { plain, kinds: kinds ?? [] };
  } catch (cause) {
    if (cause instanceof BrokenAge) throw cause;
    const message = (cause as Error).message;
    if (kinds && message.startsWith('no identity matched')) throw new NoAgeKey(kinds);
    throw new BrokenAge(message);
  }
}

/** Throws `Error` where a recipient is none. */
export async function sealAge(
  plain: Uint8Array,
  to: AgeRecipients,
  { isBinary = false } = {},
): Promise<Buffer> {
  const { armor, Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  if ('passphrase' in to) encrypter.addRecipient(await passphraseRecipient(to.passphrase));
  else for (const recipient of to.recipients) encrypter.addRecipient(recipient);
  const sealed = await encrypter.encrypt(plain);
  return Buffer.from(isBinary ? sealed : armor.encode(sealed));
}

/** The recipient that an identity belongs to. */
export async function recipientOf(identity: string): Promise<string> {
  const { identityToRecipient } = await import('age-encryption');
  return identityToRecipient(identity);
}

export async function newIdentity(): Promise<string> {
  const { generateX25519Identity } = await import('age-encryption');
  return generateX25519Identity();
}
