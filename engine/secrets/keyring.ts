import { resolve } from 'node:path';
import { DrillbookError, Problems } from '../core/error.ts';
import type { Place } from '../core/place.ts';
import type { Redactor } from '../core/secret.ts';
import { BrokenAge, isArmored, newBudget, NoAgeKey, openAge, recipientOf, sealAge } from './age.ts';
import type { AgeKeys, OpenedAge } from './age.ts';
import { BrokenVault, openVault, readVault, sealVault } from './ansible-vault.ts';
import { formatOf, Opened } from './encrypted.ts';
import type { Encrypted, Opener } from './encrypted.ts';
import { readKeyFile, readPassword } from './password-file.ts';

/** Where keys come from; files are read when the first encrypted text is met. */
export interface KeySources {
  /** Files of age identities. */
  readonly identities: readonly string[];
  readonly passphraseFile?: string | undefined;
  /** Ansible's: a label (`default` where none was given), and a file or `prompt`. */
  readonly vaultIds: readonly { readonly label: string; readonly source: string }[];
  /** Asks without echo; undefined where nobody can be asked. */
  readonly ask?: ((question: string) => Promise<string>) | undefined;
}

export interface Keyring extends Opener {
  /** `AGE-SECRET-KEY-…` of the identity files. */
  identities(): Promise<readonly string[]>;
  /** Other content, encrypted as `text` was: for whoever could open that. Throws `parse.key` where that cannot be told. */
  reseal(text: Encrypted, plain: Uint8Array): Promise<Buffer>;
}

const AGE_HINT =
  'give the key with --identity FILE or the passphrase with --passphrase-file FILE (DRILLBOOK_IDENTITY, DRILLBOOK_PASSPHRASE_FILE)';
const VAULT_HINT =
  'give the password with --vault-password-file FILE (ANSIBLE_VAULT_PASSWORD_FILE) or --vault-id LABEL@FILE';

const wrong = (at: Place | undefined, message: string, hint?: string): DrillbookError =>
  new DrillbookError('parse.key', message, { at, hint });

/** Nobody has tried anything yet: `lint` passes over it. */
const locked = (at: Place, message: string, hint: string): DrillbookError =>
  new DrillbookError('parse.locked', message, { at, hint });

const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
};

function noAgeKey({ kinds }: NoAgeKey, at: Place, keys: AgeKeys): DrillbookError {
  if (kinds.includes('scrypt'))
    return keys.passphrases.length > 0
      ? wrong(at, 'the passphrase is wrong', AGE_HINT)
      : locked(at, 'this is encrypted with a passphrase, and none was given', AGE_HINT);
  const isSsh = kinds.some((kind) => kind.startsWith('ssh-'));
  const hint = isSsh ? 'it was written for a key of SSH, which cannot be used here' : AGE_HINT;
  return keys.identities.length > 0
    ? wrong(at, 'none of the identities given opens this', hint)
    : locked(at, 'this is encrypted for an identity, and none was given', hint);
}

/** `parse.encrypted` for what is no age file and no vault. */
function damaged(error: unknown, at: Place): unknown {
  const what =
    error instanceof BrokenAge
      ? 'an age file'
      : error instanceof BrokenVault
        ? 'an Ansible Vault'
        : undefined;
  if (what === undefined) return error;
  return new DrillbookError('parse.encrypted', `not usable as ${what}: ${(error as Error).message}`, { at });
}

/** Opens what is encrypted with the keys an operator has; asks for each kind of password once at most. */
export function keyringOf(sources: KeySources, redactor: Redactor, opened = new Opened()): Keyring {
  const budget = newBudget();
  const hear = <T extends string>(secret: T): T => {
    redactor.add(secret);
    return secret;
  };
  const asker = (question: string): (() => Promise<string | undefined>) =>
    once(async () => (sources.ask ? hear(await sources.ask(question)) : undefined));
  const askPassphrase = asker('Passphrase of the encrypted files: ');
  const vaultAskers = new Map<string, () => Promise<string | undefined>>();
  const askVault = (label: string): Promise<string | undefined> => {
    const own = label === 'default' ? '' : ` (${label})`;
    const ask = vaultAskers.get(label) ?? asker(`Vault password${own}: `);
    vaultAskers.set(label, ask);
    return ask();
  };

  const passphrases = once(async () =>
    sources.passphraseFile === undefined
      ? []
      : [hear(await readPassword(sources.passphraseFile, 'passphrase file'))],
  );

  /** An identity file may itself be an age file with a passphrase. */
  const identitiesOf = async (file: string): Promise<string[]> => {
    const path = resolve(file);
    const bytes = readKeyFile(path, 'identity file');
    const at = { file: path, line: 1, column: 1 };
    const isLocked = formatOf(bytes) === 'age';
    const plain = isLocked ? (await openWith({ bytes, format: 'age', at }, [])).plain : bytes;
    const lines = plain
      .toString()
      .split(/\r?\n/)
      .map((line) => line.trim());
    const strange = lines.findIndex((line) => !/^(?:$|#|AGE-SECRET-KEY-)/.test(line));
    const keys = lines.filter((line) => line.startsWith('AGE-SECRET-KEY-'));
    if (keys.length > 0 && strange < 0) return keys.map(hear);
    const what = plain.includes('PRIVATE KEY-----') ? 'is a key of SSH' : 'holds no age identity';
    const hint = 'an identity begins with AGE-SECRET-KEY-; `drillbook secrets keygen` makes one';
    throw wrong({ ...at, line: Math.max(strange, 0) + 1 }, `identity file ${path} ${what}`, hint);
  };
  const identities = once(async () => (await Promise.all(sources.identities.map(identitiesOf))).flat());

  /** With what there is; the passphrase is asked for where it takes one and none is there. */
  async function openWith(
    { bytes, at }: Encrypted,
    own?: readonly string[],
  ): Promise<OpenedAge & { readonly keys: AgeKeys }> {
    let keys: AgeKeys = { identities: own ?? (await identities()), passphrases: await passphrases() };
    try {
      try {
        return { ...(await openAge(bytes, keys, budget)), keys };
      } catch (error) {
        if (!(error instanceof NoAgeKey) || !error.kinds.includes('scrypt') || keys.passphrases.length > 0)
          throw error;
        const typed = await askPassphrase();
        if (typed === undefined) throw error;
        keys = { identities: [], passphrases: [typed] };
        return { ...(await openAge(bytes, keys, budget)), keys };
      }
    } catch (error) {
      throw error instanceof NoAgeKey ? noAgeKey(error, at, keys) : damaged(error, at);
    }
  }

  const vaultPasswords = once(async () => {
    const all: { readonly label: string; readonly password: string }[] = [];
    for (const { label, source } of sources.vaultIds) {
      const isPrompt = source === 'prompt' || source === 'prompt_ask_vault_pass';
      const password = isPrompt
        ? await askVault(label)
        : hear(await readPassword(source, 'vault password file', label));
      if (password === undefined)
        throw wrong(undefined, `--vault-id ${label}@prompt: there is no terminal to ask on`);
      all.push({ label, password });
    }
    return all;
  });

  async function openVaultWith({
    bytes,
    at,
  }: Encrypted): Promise<{ plain: Buffer; password: string; label?: string | undefined }> {
    try {
      const vault = readVault(Buffer.from(bytes).toString('latin1'));
      const { label } = vault;
      const given = await vaultPasswords();
      // That of its own label first, as Ansible.
      const passwords = given
        .toSorted((a, b) => Number(b.label === label) - Number(a.label === label))
        .map(({ password }) => password);
      if (given.length === 0) {
        const typed = await askVault(label ?? 'default');
        if (typed === undefined)
          throw locked(at, 'this is an Ansible Vault, and no password was given', VAULT_HINT);
        passwords.push(typed);
      }
      for (const password of passwords) {
        const plain = await openVault(vault, password);
        if (plain) return { plain, password, label };
      }
      const id = label === undefined ? '' : ` (vault id \`${label}\`)`;
      throw wrong(at, `the vault password is wrong, or the vault is damaged${id}`, VAULT_HINT);
    } catch (error) {
      throw damaged(error, at);
    }
  }

  /** The recipients of a file are not written in it: they are known only where each of them is one of ours. */
  async function recipientsOf(
    text: Encrypted,
    { kinds, keys }: OpenedAge & { keys: AgeKeys },
  ): Promise<string[]> {
    const mine: string[] = [];
    for (const identity of keys.identities) {
      const isOne = await openAge(text.bytes, { identities: [identity], passphrases: [] }, budget).then(
        () => true,
        () => false,
      );
      if (isOne) mine.push(await recipientOf(identity));
    }
    const count = kinds.filter((kind) => /^(?:X25519|mlkem)/.test(kind)).length;
    if (mine.length === count) return mine;
    const hint = 'an age file does not say who they are: name all of them with -r or -R';
    throw wrong(
      text.at,
      `this is encrypted for ${count} recipients, and ${mine.length} of them known here`,
      hint,
    );
  }

  return {
    opened,
    identities,
    async reseal(text, plain) {
      if (text.format === 'vault') {
        const { password, label } = await openVaultWith(text);
        return Buffer.from(await sealVault(plain, password, label));
      }
      const found = await openWith(text);
      const isBinary = !isArmored(text.bytes);
      const [passphrase] = found.keys.passphrases;
      if (found.kinds.includes('scrypt') && passphrase !== undefined)
        return sealAge(plain, { passphrase }, { isBinary });
      return sealAge(plain, { recipients: await recipientsOf(text, found) }, { isBinary });
    },
    async open(texts) {
      const problems: DrillbookError[] = [];
      for (const text of texts) {
        try {
          const { plain } = await (text.format === 'age' ? openWith(text) : openVaultWith(text));
          opened.set(text.bytes, plain);
        } catch (error) {
          if (!(error instanceof DrillbookError) || !error.code.startsWith('parse.')) throw error;
          problems.push(error);
        }
      }
      if (problems.length === 1 && problems[0]) throw problems[0];
      if (problems.length > 0) throw new Problems(problems);
    },
  };
}
