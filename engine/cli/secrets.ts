import { existsSync, openSync, readFileSync, closeSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { DrillbookError, Problems } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { parseYaml } from '../parse/yaml.ts';
import { isArmored, newIdentity, recipientOf } from '../secrets/age.ts';
import { formatOf } from '../secrets/encrypted.ts';
import { inlineYaml, withInline } from '../secrets/inline.ts';
import { keyringOf } from '../secrets/keyring.ts';
import type { Keyring } from '../secrets/keyring.ts';
import { replaceFile } from '../secrets/replace.ts';
import { command, type Invocation } from './_command.ts';
import { edited } from './_editor.ts';
import { KEY_HELP, KEY_OPTIONS, keySources } from './_keys.ts';
import {
  namedRecipients,
  plainOf,
  plainText,
  readBytes,
  readSecretFile,
  seal,
  targetOf,
} from './_secret-files.ts';

type Verb = (invocation: Invocation, keys: Keyring, files: readonly string[]) => Promise<void>;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

const one = ([file, surplus]: readonly string[]): string => {
  if (file !== undefined && surplus === undefined) return file;
  throw new DrillbookError(
    'usage.file',
    file === undefined ? 'which file?' : `one file, and \`${surplus}\` is another`,
  );
};

const atLeastOne = (files: readonly string[]): readonly string[] => {
  if (files.length > 0) return files;
  throw new DrillbookError('usage.file', 'which files?');
};

/** What was just written must be YAML for the run that will read it; what is wrong is told, and it stays written. */
function warnOfYaml(file: string, plain: Buffer): void {
  if (!/\.ya?ml$/.test(file)) return;
  try {
    parseYaml(file, plain.toString(), {}, true);
  } catch (error) {
    const [first] = error instanceof Problems ? error.problems : [];
    if (first?.at)
      say(`warning: what you wrote is not usable as YAML, line ${first.at.line}: ${first.message}`);
  }
}

const encryptText: Verb = async (invocation, keys) => {
  const { name } = invocation.options;
  const typed = readFileSync(0, 'utf8').replace(/\r?\n$/, '');
  if (typed === '') throw new DrillbookError('usage.text', 'there is nothing on standard input to encrypt');
  const sealed = await seal(Buffer.from(typed), await targetOf(invocation, keys, true));
  const label = typeof name === 'string' ? `${name}: ` : '';
  process.stdout.write(label + inlineYaml('!age', sealed.toString(), '  '));
};

const VERBS: Readonly<Record<string, Verb>> = {
  edit: async (invocation, keys, files) => {
    const path = resolve(one(files));
    const isNew = !existsSync(path);
    if (isNew) {
      const to = await targetOf(invocation, keys, true);
      const plain = await edited(Buffer.alloc(0), path, invocation.signal);
      if (plain.length === 0) return say('nothing was written');
      replaceFile(path, await seal(plain, to));
      return warnOfYaml(path, plain);
    }
    const file = readSecretFile(path);
    if (!('whole' in file))
      throw new DrillbookError(
        'usage.file',
        `${path} has encrypted values in a plain text: edit it as it is`,
        {
          hint: '`drillbook secrets encrypt --name NAME` writes a value to be pasted, from standard input',
        },
      );
    const before = await plainOf(file.whole, keys);
    // Found out first: nobody is to lose what they have typed.
    const named = namedRecipients(invocation);
    if (!named) await keys.reseal(file.whole, before);
    const after = await edited(before, path, invocation.signal);
    if (after.equals(before)) return say(`${path} is as it was`);
    const isBinary = file.whole.format === 'age' && !isArmored(file.whole.bytes);
    const sealed = named ? await seal(after, named, { isBinary }) : await keys.reseal(file.whole, after);
    const isOther = !readBytes(path).equals(file.whole.bytes);
    replaceFile(isOther ? `${path}.edited` : path, sealed);
    warnOfYaml(path, after);
    if (isOther)
      throw new DrillbookError('edit.other', `${path} was changed by somebody else in the meantime`, {
        hint: `what you wrote is in ${path}.edited, encrypted`,
      });
  },
  view: async (_, keys, files) => {
    const plain = await plainText(readSecretFile(one(files)), keys);
    process.stdout.write(plain);
  },
  decrypt: async (invocation, keys, files) => {
    const isInPlace = invocation.options['in-place'] === true;
    for (const file of isInPlace ? atLeastOne(files) : [one(files)]) {
      const plain = await plainText(readSecretFile(file), keys);
      if (!isInPlace) process.stdout.write(plain);
      else {
        replaceFile(resolve(file), plain, { isPrivate: true });
        say(`${file} is plain now, and nobody else's to read`);
      }
    }
  },
  encrypt: async (invocation, keys, files) => {
    if (files.length === 0) return encryptText(invocation, keys, files);
    const plain = files.map((file) => readBytes(file));
    for (const [i, bytes] of plain.entries())
      if (formatOf(bytes) !== undefined)
        throw new DrillbookError('usage.file', `${files[i] ?? ''} is encrypted already`, {
          hint: '`drillbook secrets rekey` encrypts it for somebody else',
        });
    const to = await targetOf(invocation, keys, true);
    for (const [i, bytes] of plain.entries()) replaceFile(resolve(files[i] ?? ''), await seal(bytes, to));
  },
  rekey: async (invocation, keys, files) => {
    const found = atLeastOne(files).map(readSecretFile);
    // All of them are opened before the first is written.
    for (const file of found) await plainText(file, keys);
    const to = await targetOf(invocation, keys, false);
    for (const file of found) {
      const { path } = file;
      if ('whole' in file) {
        const isBinary = file.whole.format === 'age' && !isArmored(file.whole.bytes);
        replaceFile(path, await seal(await plainOf(file.whole, keys), to, { isBinary }));
      } else {
        const text = await withInline(file.text, file.values, async (value) =>
          inlineYaml('!age', (await seal(await plainOf(value, keys), to)).toString(), value.indent),
        );
        replaceFile(path, text);
      }
    }
  },
  keygen: async (_, __, files) => {
    const path = resolve(one(files));
    const identity = await newIdentity();
    const recipient = await recipientOf(identity);
    let file: number;
    try {
      file = openSync(path, 'wx', 0o600);
    } catch (cause) {
      const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST';
      const why = isThere ? 'is there already, and stays' : `cannot be written: ${(cause as Error).message}`;
      throw new DrillbookError('usage.file', `${path} ${why}`);
    }
    writeFileSync(file, `# created: ${new Date().toISOString()}\n# public key: ${recipient}\n${identity}\n`);
    closeSync(file);
    process.stdout.write(`${recipient}\n`);
  },
};

export default command({
  summary: 'encrypted variable files: edit, view, encrypt, decrypt, rekey, keygen',
  usage: 'edit|view|decrypt|encrypt|rekey|keygen FILE',
  options: {
    ...KEY_OPTIONS,
    recipient: { type: 'string', short: 'r', multiple: true },
    'recipients-file': { type: 'string', short: 'R', multiple: true },
    'new-passphrase-file': { type: 'string' },
    'in-place': { type: 'boolean' },
    name: { type: 'string' },
  },
  help: {
    ...KEY_HELP,
    recipient: 'encrypt for this age1… (may be given several times)',
    'recipients-file': 'the same for each line of a file',
    'new-passphrase-file': 'rekey: file with the passphrase it is to have',
    'in-place': 'decrypt: leave the file plain, instead of printing it',
    name: 'encrypt without a file: the name before the value that standard input has',
  },
  async run(invocation) {
    const [verb = '', ...files] = invocation.positionals;
    const work = VERBS[verb];
    if (work === undefined)
      throw new DrillbookError('usage.secrets', `secrets has no verb \`${verb}\``, {
        hint: suggest(verb, Object.keys(VERBS)),
      });
    await work(invocation, keyringOf(keySources(invocation), invocation.redactor), files);
    return 0;
  },
});
