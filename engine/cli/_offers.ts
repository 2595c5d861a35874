import { readdirSync, statSync } from 'node:fs';
import { Redactor } from '../core/secret.ts';
import { moduleNames } from '../modules/registry.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { Item, Playbook } from '../parse/playbook.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { lenientKeys } from './_keys.ts';

/** Words with a line about each, or files with one of these endings (`*` for all, `/` for folders alone). */
export interface Offer {
  readonly words: readonly (readonly [word: string, about: string])[];
  readonly files?: readonly string[];
}

/** What the command line says so far. */
export interface Known {
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
}

interface Asking extends Known {
  readonly command: string;
  /** The value so far. */
  readonly typed: string;
  readonly stateDir: string;
}

const plain = (words: Iterable<string>, about = ''): Offer => ({
  words: [...words].map((word) => [word, about]),
});

function inventoryOf({ values }: Known): Inventory | undefined | Promise<Inventory> {
  const given = values.get('inventory');
  if (given === undefined) return undefined;
  // A program is not run while somebody types.
  if (given.some((file) => statSync(file, { throwIfNoEntry: false })?.isFile() && isProgram(file)))
    return undefined;
  const keys = lenientKeys({}, new Redactor());
  return import('../parse/inventory.ts').then(({ absoluteSpec, loadInventory }) =>
    withKeys(keys, () => loadInventory(absoluteSpec(given), keys.loading)),
  );
}

const isProgram = (file: string): boolean => (statSync(file).mode & 0o111) !== 0;

async function playbookOf(file: string | undefined): Promise<Playbook | undefined> {
  if (file === undefined) return undefined;
  const { loadPlaybook } = await import('../parse/playbook.ts');
  const keys = lenientKeys({}, new Redactor());
  return withKeys(keys, () => loadPlaybook(file, { modules: moduleNames(), ...keys.loading }));
}

/** A list in which the last name is being typed: what stands before it is kept. */
function inList({ words }: Offer, typed: string, separators: RegExp): Offer {
  const last = typed.split(separators).at(-1) ?? '';
  const before = typed.slice(0, typed.length - last.length);
  return { words: words.map(([word, about]) => [before + word, about]) };
}

async function hostPatterns(asking: Asking): Promise<Offer> {
  const inventory = await inventoryOf(asking);
  if (!inventory) return { words: [] };
  const offer: Offer = {
    words: [
      ...[...inventory.hosts.keys()].map((name) => [name, 'host'] as const),
      ...[...inventory.groups.keys()].map((name) => [name, 'group'] as const),
      ...[...inventory.clusters.keys()].map((name) => [name, 'cluster'] as const),
      ...['all', ...(inventory.clusters.size > 0 ? ['primary', 'standby'] : [])].map(
        (name) => [name, ''] as const,
      ),
    ],
  };
  return inList(offer, asking.typed, /[,:!&]/);
}

function* itemsIn(items: readonly Item[]): Generator<Item> {
  for (const item of items) {
    yield item;
    if (item.kind === 'block')
      for (const part of [item.block, item.rescue, item.always]) yield* itemsIn(part);
  }
}

async function tags(asking: Asking): Promise<Offer> {
  const playbook = await playbookOf(asking.positionals[0]);
  const found = (playbook?.plays ?? []).flatMap(({ keywords, tasks }) => [
    ...(keywords.tags ?? []),
    ...[...itemsIn(tasks)].flatMap((item) => item.keywords.tags ?? []),
  ]);
  const names = new Set([...found, 'all', 'tagged', 'untagged', 'always', 'never']);
  return inList(plain(playbook ? names : []), asking.typed, /,/);
}

/** The ids of the plan; without inputs, which would have to be asked for. */
async function stepIds(asking: Asking): Promise<Offer> {
  const playbook = await playbookOf(asking.positionals[0]);
  const inventory = await inventoryOf(asking);
  if (!playbook || !inventory) return { words: [] };
  const [{ makePlan }, { NO_INPUTS }, { stepsOf }, { modulesOf }] = await Promise.all([
    import('../plan/expand.ts'),
    import('../plan/inputs.ts'),
    import('../plan/plan.ts'),
    import('./_problems.ts'),
  ]);
  const { confirm: _, ...rest } = playbook;
  const book = { ...rest, confirm: undefined } as Playbook;
  const plan = makePlan(book, inventory, NO_INPUTS, await modulesOf(playbook));
  const steps = plan.plays.flatMap(({ nodes }) => [...stepsOf(nodes)]);
  return { words: steps.map(({ id, name }) => [id, name]) };
}

async function variables(asking: Asking): Promise<Offer> {
  const inventory = await inventoryOf(asking);
  const playbook = await playbookOf(asking.positionals[1]);
  const names = [...(inventory?.settings.values() ?? [])].flatMap((settings) => [...settings.keys()]);
  return plain(new Set([...names, ...Object.keys(playbook?.vars ?? {})]));
}

/** `-e NAME=VALUE`: names of inputs, then the values they allow; `@FILE`. */
async function extras(asking: Asking): Promise<Offer> {
  if (asking.typed.startsWith('@')) return { words: [], files: ['@'] };
  const playbook = await playbookOf(asking.positionals[0]);
  const inputs = Object.entries(playbook?.inputs ?? {});
  const split = asking.typed.indexOf('=');
  if (split < 0) return { words: inputs.map(([name, { description = '' }]) => [`${name}=`, description]) };
  const name = asking.typed.slice(0, split);
  const input = inputs.find(([one]) => one === name)?.[1];
  const values = input?.choices?.map(String) ?? (input?.type === 'boolean' ? ['true', 'false'] : []);
  return plain(values.map((value) => `${name}=${value}`));
}

function ids({ stateDir }: Asking): string[] {
  try {
    return readdirSync(`${stateDir}/runs`).sort().toReversed();
  } catch {
    return [];
  }
}

/** Newest first, with what each was; `resume` is for those that are not done. */
async function runs(asking: Asking): Promise<Offer> {
  const { readJournal } = await import('../run/journal/journal.ts');
  const words = ids(asking).flatMap((run): [string, string][] => {
    try {
      const journal = readJournal(asking.stateDir, run);
      try {
        const { first, last } = journal.glance();
        const outcome = last?.event === 'run_finished' ? last.outcome : 'unfinished';
        if (asking.command === 'resume' && outcome === 'done') return [];
        return [
          [run, first?.event === 'run_started' ? `${first.name}, ${outcome.replace('_', ' ')}` : outcome],
        ];
      } finally {
        journal.close();
      }
    } catch {
      return asking.command === 'resume' ? [] : [[run, '']];
    }
  });
  return { words };
}

async function labNodes({ values }: Asking): Promise<Offer> {
  const { readState } = await import('../lab/state.ts');
  const lab = await readState(values.get('name')?.at(-1) ?? 'lab');
  return plain(lab?.nodes.map(({ name }) => name) ?? []);
}

const BOOKS = ['yml', 'yaml'];

/** By the word of the usage line, or the name of the option. */
const KINDS: Readonly<Record<string, (asking: Asking) => Offer | Promise<Offer>>> = {
  PLAYBOOK: () => ({ words: [], files: BOOKS }),
  INVENTORY: () => ({ words: [], files: ['*'] }),
  'PATH…': () => ({ words: [], files: ['*'] }),
  FILE: () => ({ words: [], files: ['*'] }),
  PATH: () => ({ words: [], files: ['*'] }),
  RUN: runs,
  HOST: async (asking) => plain((await inventoryOf(asking))?.hosts.keys() ?? []),
  CLUSTER: async (asking) => plain((await inventoryOf(asking))?.clusters.keys() ?? []),
  NODE: labNodes,
  NAME: (asking) => (asking.command === 'modules' ? plain(moduleNames()) : variables(asking)),
  'NAME=VALUE': extras,
  inventory: () => ({ words: [], files: ['*'] }),
  out: () => ({ words: [], files: ['*'] }),
  identity: () => ({ words: [], files: ['*'] }),
  'passphrase-file': () => ({ words: [], files: ['*'] }),
  'vault-password-file': () => ({ words: [], files: ['*'] }),
  state: () => ({ words: [], files: ['/'] }),
  extra: extras,
  limit: hostPatterns,
  tags,
  'skip-tags': tags,
  'start-at': stepIds,
  output: () => plain(['live', 'plain', 'jsonl', 'json']),
  database: () => plain(['mariadb', 'mysql']),
  name: async () => plain(await (await import('../lab/state.ts')).labNames()),
};

/** What `kind` stands for here: `a|b|c`, a word of the usage line, or the name of an option. */
export async function offersOf(
  kind: string,
  command: string,
  typed: string,
  known: Known,
  stateDir: string,
): Promise<Offer> {
  if (/^[a-z][\w-]*(\|[a-z][\w-]*)+$/.test(kind)) return plain(kind.split('|'));
  const find = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  try {
    return (await find?.({ ...known, command, typed, stateDir })) ?? { words: [] };
  } catch {
    return { words: [] }; // A file that is broken is told by the command itself.
  }
}
