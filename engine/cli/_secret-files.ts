import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { recipientOf, sealAge } from '../secrets/age.ts';
import type { AgeRecipients } from '../secrets/age.ts';
import { formatOf } from '../secrets/encrypted.ts';
import type { Encrypted } from '../secrets/encrypted.ts';
import { inlineValues, withInline } from '../secrets/inline.ts';
import type { Inline } from '../secrets/inline.ts';
import type { Keyring } from '../secrets/keyring.ts';
import { readKeyFile, readPassword } from '../secrets/password-file.ts';
import { terminalAsk } from './_ask.ts';
import type { Invocation } from './_command.ts';
import { keySources } from './_keys.ts';

/** A file of secrets: encrypted as a whole, or with single encrypted values in it. */
export type SecretFile =
  | { readonly path: string; readonly whole: Encrypted }
  | { readonly path: string; readonly text: string; readonly values: readonly Inline[] };

export function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a folder' : `(${code})`;
    throw new DrillbookError('usage.file', `${file} ${why === `(${code})` ? `cannot be read ${why}` : why}`);
  }
}

/** Throws `usage.file` for one in which nothing is encrypted. */
export function readSecretFile(file: string): SecretFile {
  const path = resolve(file);
  const bytes = readBytes(path);
  const format = formatOf(bytes);
  if (format !== undefined) return { path, whole: { bytes, format, at: { file: path, line: 1, column: 1 } } };
  const text = bytes.toString();
  const values = inlineValues(path, text);
  if (values.length > 0) return { path, text, values };
  throw new DrillbookError('usage.file', `nothing in ${file} is encrypted`, {
    hint: `\`drillbook secrets encrypt ${file}\` does it`,
  });
}

export async function plainOf(text: Encrypted, keys: Keyring): Promise<Buffer> {
  const known = keys.opened.get(text.bytes);
  if (known) return known;
  await keys.open([text]);
  return plainOf(text, keys);
}

/** The whole text of it, decrypted; a single value becomes `!secret "…"`. */
export async function plainText(file: SecretFile, keys: Keyring): Promise<Buffer> {
  if ('whole' in file) return plainOf(file.whole, keys);
  await keys.open(file.values);
  const written = async (value: Inline): Promise<string> =>
    `!secret ${JSON.stringify((await plainOf(value, keys)).toString())}\n`;
  return Buffer.from(await withInline(file.text, file.values, written));
}

async function askTwice(): Promise<string> {
  const ask = terminalAsk();
  if (!ask)
    throw new DrillbookError('usage.recipient', 'encrypted for whom?', {
      hint: 'name recipients with -r age1… or -R FILE, or a passphrase with a file; on a terminal it is asked for',
    });
  const first = await ask('New passphrase: ', true);
  if (first === '') throw new DrillbookError('usage.passphrase', 'an empty passphrase protects nothing');
  if ((await ask('The same again: ', true)) === first) return first;
  throw new DrillbookError('usage.passphrase', 'the two are not the same; nothing was done');
}

function recipientsIn(file: string): string[] {
  const lines = readKeyFile(resolve(file), 'recipients file').toString().split(/\r?\n/);
  return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

/** The recipients that -r and -R name; undefined where there are none. */
export function namedRecipients({ options }: Invocation): AgeRecipients | undefined {
  const list = (name: string): readonly string[] => (options[name] as readonly string[] | undefined) ?? [];
  const recipients = [...list('recipient'), ...list('recipients-file').flatMap(recipientsIn)];
  const strange = recipients.find((one) => !one.startsWith('age1'));
  if (strange !== undefined) {
    const isIdentity = strange.startsWith('AGE-SECRET-KEY');
    const what = isIdentity ? 'an identity' : `\`${strange.slice(0, 40)}\``;
    throw new DrillbookError('usage.recipient', `${what} is no recipient of age`, {
      hint: isIdentity
        ? 'that is the secret half, which nobody else may see: the recipient begins with age1'
        : 'a recipient begins with age1; keys of SSH cannot be used',
    });
  }
  return recipients.length > 0 ? { recipients } : undefined;
}

/** For whom something is encrypted: named recipients, a passphrase, else (`isNew`) the identity's own. */
export async function targetOf(
  invocation: Invocation,
  keys: Keyring,
  isNew: boolean,
): Promise<AgeRecipients> {
  const named = namedRecipients(invocation);
  if (named) return named;
  const sources = keySources(invocation);
  const file = invocation.options['new-passphrase-file'] ?? (isNew ? sources.passphraseFile : undefined);
  if (typeof file === 'string') return { passphrase: await readPassword(file, 'passphrase file') };
  if (isNew && sources.identities.length > 0) {
    const own = await Promise.all((await keys.identities()).map(recipientOf));
    return { recipients: own };
  }
  return { passphrase: await askTwice() };
}

export async function seal(
  plain: Uint8Array,
  to: AgeRecipients,
  how?: { readonly isBinary: boolean },
): Promise<Buffer> {
  try {
    return await sealAge(plain, to, how);
  } catch (cause) {
    throw new DrillbookError('usage.recipient', `a recipient cannot be used: ${(cause as Error).message}`);
  }
}
