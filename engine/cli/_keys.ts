import type { ParseArgsOptionsConfig } from 'node:util';
import { DrillbookError } from '../core/error.ts';
import type { Place } from '../core/place.ts';
import type { Redactor } from '../core/secret.ts';
import type { Loading } from '../parse/yaml.ts';
import { Opened } from '../secrets/encrypted.ts';
import type { Opener } from '../secrets/encrypted.ts';
import type { KeySources } from '../secrets/keyring.ts';
import { terminalAsk } from './_ask.ts';
import type { Invocation } from './_command.ts';

export const KEY_OPTIONS = {
  identity: { type: 'string', multiple: true },
  'passphrase-file': { type: 'string' },
  'vault-password-file': { type: 'string' },
  'vault-id': { type: 'string', multiple: true },
} as const satisfies ParseArgsOptionsConfig;

export const KEY_HELP: Readonly<Record<keyof typeof KEY_OPTIONS, string>> = {
  identity: 'file with an age identity that opens encrypted files (DRILLBOOK_IDENTITY)',
  'passphrase-file':
    'file with the passphrase of age files, or a program that prints it (DRILLBOOK_PASSPHRASE_FILE)',
  'vault-password-file': 'the same for Ansible Vault (ANSIBLE_VAULT_PASSWORD_FILE)',
  'vault-id': 'LABEL@FILE or LABEL@prompt: the password of one vault id of Ansible',
};

const list = (value: unknown): readonly string[] => (Array.isArray(value) ? (value as string[]) : []);

function vaultIds(options: Invocation['options']): KeySources['vaultIds'] {
  const file = options['vault-password-file'] ?? process.env['ANSIBLE_VAULT_PASSWORD_FILE'];
  const ids = list(options['vault-id']).map((text) => {
    const at = text.indexOf('@');
    const source = text.slice(at + 1);
    if (source === '') throw new DrillbookError('usage.option', `--vault-id ${text}: LABEL@FILE is wanted`);
    return { label: at > 0 ? text.slice(0, at) : 'default', source };
  });
  return [...ids, ...(typeof file === 'string' && file !== '' ? [{ label: 'default', source: file }] : [])];
}

/** Where the keys of this command come from. */
export function keySources({ options }: Pick<Invocation, 'options'>): KeySources {
  const { DRILLBOOK_IDENTITY: identity, DRILLBOOK_PASSPHRASE_FILE: own } = process.env;
  const given = list(options['identity']);
  const file = options['passphrase-file'] ?? own;
  const ask = terminalAsk();
  return {
    identities: given.length > 0 ? given : identity ? [identity] : [],
    passphraseFile: typeof file === 'string' && file !== '' ? file : undefined,
    vaultIds: vaultIds(options),
    ask: ask && ((question) => ask(question, true)),
  };
}

/** What loads files that may be encrypted: `withKeys(keys, () => load(keys.loading))`. */
export interface Keys extends Opener {
  readonly loading: Required<Pick<Loading, 'onSecret' | 'opened'>>;
}

/** Keys that ask nobody, and pass over what they do not open: it is empty then. */
export function lenientKeys(
  options: Invocation['options'],
  redactor: Redactor,
): Keys & { readonly unopened: readonly Place[] } {
  const keys = keysOf({ options }, redactor, new Opened(), { isAsking: false });
  const unopened: Place[] = [];
  const open: Opener['open'] = async (texts) => {
    for (const text of texts) {
      try {
        await keys.open([text]);
      } catch (error) {
        if (!(error instanceof DrillbookError) || error.code !== 'parse.locked') throw error;
        unopened.push(text.at);
        keys.opened.set(text.bytes, Buffer.from('{}'));
      }
    }
  };
  return { ...keys, open, unopened };
}

export function keysOf(
  invocation: Pick<Invocation, 'options'>,
  redactor: Redactor,
  opened = new Opened(),
  { isAsking = true } = {},
): Keys {
  const known = keySources(invocation);
  const sources = isAsking ? known : { ...known, ask: undefined };
  const opener: Opener = {
    opened,
    async open(texts) {
      const { keyringOf } = await import('../secrets/keyring.ts');
      ring ??= keyringOf(sources, redactor, opened);
      await ring.open(texts);
    },
  };
  let ring: Opener | undefined;
  const onSecret: Keys['loading']['onSecret'] = (value, isImplied) => redactor.add(value, isImplied);
  return { ...opener, loading: { onSecret, opened } };
}
