import { resolve } from 'node:path';
import { DrillbookError, Problems } from '../core/error.ts';
import type { Place } from '../core/place.ts';
import type { Redactor } from '../core/secret.ts';
import { BrokenAge, newBudget, NoAgeKey, openAge } from './age.ts';
import { BrokenVault, openVault, readVault } from './ansible-vault.ts';
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

interface VaultPassword {
  readonly label: string;
  readonly password: string;
}

const AGE_HINT =
  'give the key with --identity FILE or the passphrase with --passphrase-file FILE (DRILLBOOK_IDENTITY, DRILLBOOK_PASSPHRASE_FILE)';
const VAULT_HINT =
  'give the password with --vault-password-file FILE (ANSIBLE_VAULT_PASSWORD_FILE) or --vault-id LABEL@FILE';

const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
};

/** Opens what is encrypted with the keys an operator has; asks for each kind of password once at most. */
export function keyringOf(sources: KeySources, redactor: Redactor, opened = new Opened()): Opener {
  const budget = newBudget();
  const hear = <T extends string>(secret: T): T => {
    redactor.add(secret);
    return secret;
  };
  const asked = (question: string): (() => Promise<string | undefined>) =>
    once(async () => (sources.ask ? hear(await sources.ask(question)) : undefined));
  const askPassphrase = asked('Passphrase of the encrypted files: ');
  const prompts = new Map<string, () => Promise<string | undefined>>();
  const askVault = (label: string): Promise<string | undefined> => {
    const known = prompts.get(label) ?? asked(`Vault password${label === 'default' ? '' : ` (${label})`}: `);
    prompts.set(label, known);
    return known();
  };

  const passphrases = once(async () =>
    sources.passphraseFile === undefined
      ? []
      : [hear(await readPassword(sources.passphraseFile, 'passphrase file'))],
  );

  const wrong = (at: Place, message: string, hint?: string): DrillbookError =>
    new DrillbookError('parse.key', message, { at, hint });

  /** An identity file may itself be an age file with a passphrase. */
  const identitiesOf = async (file: string): Promise<string[]> => {
    const path = resolve(file);
    let text = readKeyFile(path, 'identity file');
    const at = { file: path, line: 1, column: 1 };
    if (formatOf(Buffer.from(text)) === 'age')
      text = (await openAgeText({ bytes: Buffer.from(text), format: 'age', at }, [])).toString();
    const lines = text.split(/\r?\n/).map((line) => line.trim());
    const keys = lines.filter((line) => line !== '' && !line.startsWith('#'));
    const strange = lines.findIndex((line) => line !== '' && !/^(?:#|AGE-SECRET-KEY-)/.test(line));
    if (keys.length === 0 || strange >= 0) {
      const isSsh = text.includes('PRIVATE KEY-----');
      const what = isSsh ? 'is a key of SSH' : 'holds no age identity';
      const hint = 'an identity begins with AGE-SECRET-KEY-; `drillbook secrets keygen` makes one';
      throw wrong({ ...at, line: strange + 1 || 1 }, `identity file ${path} ${what}`, hint);
    }
    return keys.map(hear);
  };
  const identities = once(async () => (await Promise.all(sources.identities.map(identitiesOf))).flat());

  async function openAgeText({ bytes, at }: Encrypted, own?: readonly string[]): Promise<Buffer> {
    const keys = { identities: own ?? (await identities()), passphrases: await passphrases() };
    try {
      try {
        return await openAge(bytes, keys, budget);
      } catch (error) {
        if (!(error instanceof NoAgeKey) || keys.passphrases.length > 0) throw error;
        const passphrase = error.kinds.includes('scrypt') ? await askPassphrase() : undefined;
        if (passphrase === undefined) throw error;
        return await openAge(bytes, { identities: [], passphrases: [passphrase] }, budget);
      }
    } catch (error) {
      if (error instanceof BrokenAge)
        throw new DrillbookError('parse.encrypted', `not usable as an age file: ${error.message}`, { at });
      if (error instanceof NoAgeKey) throw noAgeKey(error, at, keys);
      if (error instanceof DrillbookError) throw error;
      throw wrong(at, `a key cannot be used: ${(error as Error).message}`);
    }
  }

  const noAgeKey = (
    { kinds }: NoAgeKey,
    at: Place,
    keys: { identities: readonly string[]; passphrases: readonly string[] },
  ): DrillbookError => {
    if (kinds.includes('scrypt'))
      return keys.passphrases.length > 0 || sources.ask
        ? wrong(at, 'the passphrase is wrong', AGE_HINT)
        : wrong(at, 'this is encrypted with a passphrase, and none was given', AGE_HINT);
    const isSsh = kinds.some((kind) => kind.startsWith('ssh-'));
    const hint = isSsh ? 'it was written for a key of SSH, which cannot be used here' : AGE_HINT;
    return keys.identities.length > 0
      ? wrong(at, 'none of the identities given opens this', hint)
      : wrong(at, 'this is encrypted for an identity, and none was given', hint);
  };

  const vaultPasswords = once(async (): Promise<readonly VaultPassword[]> => {
    const all: VaultPassword[] = [];
    for (const { label, source } of sources.vaultIds) {
      const password =
        source === 'prompt'
          ? await askVault(label)
          : hear(await readPassword(source, 'vault password file', label));
      if (password === undefined)
        throw new DrillbookError('parse.key', `--vault-id ${label}@prompt: there is no terminal to ask on`);
      all.push({ label, password });
    }
    return all;
  });

  async function openVaultText({ bytes, at }: Encrypted): Promise<Buffer> {
    try {
      const vault = readVault(Buffer.from(bytes).toString('latin1'));
      const given = await vaultPasswords();
      // That of its own label first, as Ansible.
      const passwords = given
        .toSorted((a, b) => Number(b.label === vault.label) - Number(a.label === vault.label))
        .map(({ password }) => password);
      if (given.length === 0) {
        const typed = await askVault(vault.label ?? 'default');
        if (typed === undefined)
          throw wrong(at, 'this is an Ansible Vault, and no password was given', VAULT_HINT);
        passwords.push(typed);
      }
      for (const password of passwords) {
        const plain = await openVault(vault, password);
        if (plain) return plain;
      }
      const id = vault.label === undefined ? '' : ` (vault id \`${vault.label}\`)`;
      throw wrong(at, `the vault password is wrong, or the vault is damaged${id}`, VAULT_HINT);
    } catch (error) {
      if (!(error instanceof BrokenVault)) throw error;
      throw new DrillbookError('parse.encrypted', `not usable as an Ansible Vault: ${error.message}`, { at });
    }
  }

  return {
    opened,
    async open(texts) {
      const problems: DrillbookError[] = [];
      for (const text of texts) {
        try {
          opened.set(text.bytes, await (text.format === 'age' ? openAgeText(text) : openVaultText(text)));
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
