import { createHash, timingSafeEqual } from 'node:crypto';

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ORDER = [
  [0, 10, 20],
  [21, 1, 11],
  [12, 22, 2],
  [3, 13, 23],
  [24, 4, 14],
  [15, 25, 5],
  [6, 16, 26],
  [27, 7, 17],
  [18, 28, 8],
  [9, 19, 29],
] as const;

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const repeated = (bytes: Buffer, length: number): Buffer =>
  Buffer.concat(Array.from({ length: Math.ceil(length / bytes.length) }, () => bytes)).subarray(0, length);

/** The digest of SHA-crypt (Drepper's specification, method 5), as caching_sha2_password keeps it. */
function shaCrypt(password: Buffer, salt: Buffer, rounds: number): string {
  const b = sha256(password, salt, password);
  const parts = [password, salt, repeated(b, password.length)];
  for (let bits = password.length; bits > 0; bits >>= 1) parts.push(bits & 1 ? b : password);
  let digest = sha256(...parts);
  const p = repeated(sha256(...Array.from({ length: password.length }, () => password)), password.length);
  const s = repeated(sha256(...Array.from({ length: 16 + (digest[0] ?? 0) }, () => salt)), salt.length);
  for (let round = 0; round < rounds; round++) {
    const first = round & 1 ? p : digest;
    const last = round & 1 ? digest : p;
    digest = sha256(first, ...(round % 3 ? [s] : []), ...(round % 7 ? [p] : []), last);
  }
  const group = (bytes: readonly number[], length: number): string => {
    let word = bytes.reduce((all, byte) => all * 256 + byte, 0);
    let text = '';
    for (let i = 0; i < length; i++, word = Math.floor(word / 64)) text += ALPHABET[word % 64] ?? '';
    return text;
  };
  const at = (index: number): number => digest[index] ?? 0;
  return ORDER.map((three) => group(three.map(at), 4)).join('') + group([0, at(31), at(30)], 3);
}

const same = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

/** Whether `stored` (bytes of authentication_string) was made from `password`; undefined for a plugin we cannot tell for. */
export function isPasswordOf(plugin: string, stored: Buffer, password: string): boolean | undefined {
  if (plugin === 'mysql_native_password') {
    const sha1 = (bytes: Uint8Array): Buffer => createHash('sha1').update(bytes).digest();
    const hash = `*${sha1(sha1(Buffer.from(password))).toString('hex')}`;
    return password === ''
      ? stored.length === 0
      : same(hash.toLowerCase(), stored.toString('latin1').toLowerCase());
  }
  if (plugin === 'caching_sha2_password') {
    if (password === '' || stored.length === 0) return password === '' && stored.length === 0;
    // `$A$` + rounds in thousands, hexadecimal + `$` + 20 bytes of salt + 43 of digest.
    const rounds = Number.parseInt(stored.subarray(3, 6).toString('latin1'), 16) * 1000;
    const digest = shaCrypt(Buffer.from(password), stored.subarray(7, 27), rounds);
    return same(digest, stored.subarray(27).toString('latin1'));
  }
  return undefined;
}
