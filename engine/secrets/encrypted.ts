import { createHash } from 'node:crypto';
import { DrillbookError } from '../core/error.ts';
import type { Place } from '../core/place.ts';

/** age (age-encryption.org/v1, binary or armored), or Ansible Vault. */
export type Format = 'age' | 'vault';

const AGE = 'age-encryption.org/';
export const ARMOR = '-----BEGIN AGE ENCRYPTED FILE-----';
const VAULT = '$ANSIBLE_VAULT;';

/** How a text is encrypted, by what it begins with; undefined for a plain one. */
export function formatOf(bytes: Uint8Array): Format | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 200))
    .toString('latin1')
    .trimStart();
  if (start.startsWith(AGE) || start.startsWith(ARMOR)) return 'age';
  return start.startsWith(VAULT) ? 'vault' : undefined;
}

/** Something encrypted, and where it stands. */
export interface Encrypted {
  readonly bytes: Uint8Array;
  readonly format: Format;
  readonly at: Place;
}

/** What is encrypted was to be read and is not opened yet: `withKeys` opens it. */
export class Locked extends DrillbookError {
  readonly texts: readonly Encrypted[];

  constructor(texts: readonly Encrypted[]) {
    const [first] = texts;
    super('parse.locked', 'this is encrypted, and nothing here takes a key for it', { at: first?.at });
    this.texts = texts;
  }
}

const keyOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('base64');

/** The plain content of what was opened so far, by the SHA-256 of what it is encrypted as. */
export class Opened {
  readonly #plain: Map<string, Buffer>;

  /** `before`: what an earlier process has opened, as `kept` told. */
  constructor(before: Readonly<Record<string, string>> = {}) {
    this.#plain = new Map(
      Object.entries(before).map(([key, plain]) => [key, Buffer.from(plain, 'base64')] as const),
    );
  }

  get(bytes: Uint8Array): Buffer | undefined {
    return this.#plain.get(keyOf(bytes));
  }

  set(bytes: Uint8Array, plain: Buffer): void {
    this.#plain.set(keyOf(bytes), plain);
  }

  /** All of it, plain: only ever kept sealed. */
  kept(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.#plain].map(([key, plain]) => [key, plain.toString('base64')]));
  }

  add(kept: Readonly<Record<string, string>>): void {
    for (const [key, plain] of Object.entries(kept)) this.#plain.set(key, Buffer.from(plain, 'base64'));
  }
}

/** What opens encrypted texts; afterwards `opened` has each of them. Throws `parse.key` or `parse.encrypted`. */
export interface Opener {
  readonly opened: Opened;
  open(texts: readonly Encrypted[]): Promise<void>;
}

/** `load`, again and again until nothing it reads is locked any more. */
export async function withKeys<T>(opener: Opener, load: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await load();
    } catch (error) {
      if (!(error instanceof Locked)) throw error;
      await opener.open(error.texts);
    }
  }
}
