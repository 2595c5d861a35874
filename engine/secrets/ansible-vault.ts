import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  pbkdf2,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { promisify } from 'node:util';

/**
 * Ansible Vault 1.1 and 1.2, AES256 (docs.ansible.com, "Ansible Vault format"): a header, then the hexadecimal form of
 * three lines, themselves hexadecimal: salt, HMAC-SHA256 of the ciphertext, ciphertext (AES-256-CTR, PKCS #7).
 */
export interface Vault {
  /** The vault id of format 1.2. */
  readonly label: string | undefined;
  readonly salt: Buffer;
  readonly hmac: Buffer;
  readonly ciphertext: Buffer;
}

/** What is wrong with it, in words; not for what a wrong password would explain too. */
export class BrokenVault extends Error {}

const derive = promisify(pbkdf2);
const ROUNDS = 10_000;
const BLOCK = 16;

function hex(text: string, what: string): Buffer {
  if (!/^(?:[0-9a-f]{2})*$/i.test(text)) throw new BrokenVault(`${what} is not hexadecimal`);
  return Buffer.from(text, 'hex');
}

/** Takes one apart; throws `BrokenVault`. */
export function readVault(text: string): Vault {
  const [header = '', ...lines] = text.trim().split(/\r?\n/);
  const [, version = '', cipher = '', label, ...rest] = header.trim().split(';');
  if (version !== '1.1' && version !== '1.2') throw new BrokenVault(`its format ${version} is not known`);
  if (cipher !== 'AES256' || rest.length > 0) throw new BrokenVault(`its cipher ${cipher} is not known`);
  const body = hex(lines.map((line) => line.trim()).join(''), 'its content').toString('latin1');
  const [salt, hmac, ciphertext, ...surplus] = body.split('\n');
  if (!salt || !hmac || !ciphertext || surplus.length > 0)
    throw new BrokenVault('it does not have its three parts');
  const parts = {
    salt: hex(salt, 'its salt'),
    hmac: hex(hmac, 'its HMAC'),
    ciphertext: hex(ciphertext, 'its ciphertext'),
  };
  if (parts.hmac.length !== 32) throw new BrokenVault('its HMAC is not one of SHA-256');
  if (parts.ciphertext.length % BLOCK !== 0) throw new BrokenVault('it is cut off');
  return { label: version === '1.2' ? label : undefined, ...parts };
}

async function keysOf(password: string, salt: Buffer): Promise<{ key: Buffer; hmacKey: Buffer; iv: Buffer }> {
  const all = await derive(password, salt, ROUNDS, 80, 'sha256');
  return { key: all.subarray(0, 32), hmacKey: all.subarray(32, 64), iv: all.subarray(64, 80) };
}

const hmacOf = (key: Buffer, ciphertext: Buffer): Buffer =>
  createHmac('sha256', key).update(ciphertext).digest();

/** The plain content; undefined where the password is another, or the ciphertext was changed: nobody can tell which. */
export async function openVault(vault: Vault, password: string): Promise<Buffer | undefined> {
  const { key, hmacKey, iv } = await keysOf(password, vault.salt);
  if (!timingSafeEqual(hmacOf(hmacKey, vault.ciphertext), vault.hmac)) return undefined;
  const decipher = createDecipheriv('aes-256-ctr', key, iv);
  const padded = Buffer.concat([decipher.update(vault.ciphertext), decipher.final()]);
  const pad = padded.at(-1) ?? 0;
  const isPadded = pad >= 1 && pad <= BLOCK && padded.subarray(-pad).every((byte) => byte === pad);
  if (!isPadded) throw new BrokenVault('its padding is wrong');
  return padded.subarray(0, -pad);
}

/** The text of a vault as Ansible writes it: format 1.2 with a label, else 1.1. */
export async function sealVault(plain: Uint8Array, password: string, label?: string): Promise<string> {
  const salt = randomBytes(32);
  const { key, hmacKey, iv } = await keysOf(password, salt);
  const pad = BLOCK - (plain.length % BLOCK);
  const cipher = createCipheriv('aes-256-ctr', key, iv);
  const ciphertext = Buffer.concat([
    cipher.update(plain),
    cipher.update(Buffer.alloc(pad, pad)),
    cipher.final(),
  ]);
  const inner = [salt, hmacOf(hmacKey, ciphertext), ciphertext]
    .map((part) => part.toString('hex'))
    .join('\n');
  const header = label === undefined ? '$ANSIBLE_VAULT;1.1;AES256' : `$ANSIBLE_VAULT;1.2;AES256;${label}`;
  const body = Buffer.from(inner, 'latin1')
    .toString('hex')
    .replace(/.{1,80}/g, '$&\n');
  return `${header}\n${body}`;
}
