import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { ParseArgsOptionsConfig } from 'node:util';
import { DrillbookError, Problems } from '../core/error.ts';
import { disk } from '../core/files.ts';
import type { Files } from '../core/files.ts';
import type { Redactor } from '../core/secret.ts';
import { withKeys } from '../secrets/encrypted.ts';
import type { Opened } from '../secrets/encrypted.ts';
import { moduleNames } from '../modules/registry.ts';
import { absoluteSpec, loadInventory } from '../parse/inventory.ts';
import type { Inventory } from '../parse/inventory.ts';
import { loadPlaybook, withVarsFiles } from '../parse/playbook.ts';
import type { Input } from '../parse/playbook-schema.ts';
import type { Playbook } from '../parse/playbook.ts';
import { renderText } from '../parse/template.ts';
import { loadYaml } from '../parse/yaml.ts';
import type { Loading } from '../parse/yaml.ts';
import { makePlan } from '../plan/expand.ts';
import { ownNames } from '../plan/own-names.ts';
import type { Selection } from '../plan/selection.ts';
import { isSecretInput, NO_INPUTS, readInputs } from '../plan/inputs.ts';
import type { Inputs } from '../plan/inputs.ts';
import type { Plan, Vars } from '../plan/plan.ts';
import { pinnedFiles } from '../run/edits/pinned.ts';
import type { Pinned } from '../run/edits/pinned.ts';
import type { Invocation } from './_command.ts';
import { passwordsOf, withPasswords } from './_passwords.ts';
import type { Passwords } from './_passwords.ts';
import { KEY_HELP, KEY_OPTIONS, keysOf } from './_keys.ts';
import { modulesOf, problemsIn, readable } from './_problems.ts';
import type { Keys } from './_keys.ts';

export const PLAN_OPTIONS: ParseArgsOptionsConfig = {
  inventory: { type: 'string', short: 'i', multiple: true },
  extra: { type: 'string', short: 'e', multiple: true },
  limit: { type: 'string', short: 'l' },
  tags: { type: 'string', short: 't', multiple: true },
  'skip-tags': { type: 'string', multiple: true },
  'start-at': { type: 'string' },
  ...KEY_OPTIONS,
};

export const PLAN_HELP: Readonly<Record<string, string>> = {
  inventory: 'hosts, groups and clusters: a file, folder or program; may be given several times',
  extra: 'NAME=VALUE of an input or variable, or @FILE (YAML; @- for standard input)',
  limit: 'only these hosts (pattern)',
  tags: 'only steps with one of these tags (comma-separated)',
  'skip-tags': 'leave out steps with one of these tags',
  'start-at': 'begin at this step (id or name)',
  ...KEY_HELP,
};

export interface Asked {
  readonly playbook: string;
  readonly inventory: string;
  readonly given: Readonly<Record<string, unknown>>;
  readonly selection: Selection;
  /** Names given with `-e NAME=VALUE`, where every process of this machine can read the value. */
  readonly typed?: readonly string[];
  /** Typed on the terminal for this command. */
  readonly passwords?: Passwords | undefined;
}

const words = (value: unknown): string[] | undefined => {
  const list = (Array.isArray(value) ? value : []).flatMap((text: string) => text.split(',')).filter(Boolean);
  return list.length > 0 ? list : undefined;
};

/** What reads a file of `-e`, which is standard input where it is called `-`. */
function giving(name: string, loading: Loading): () => unknown {
  if (name !== '-') return () => loadYaml(resolve(name), 'file of -e', undefined, loading).value;
  const typed = readFileSync(0);
  const files = { ...disk, read: () => typed };
  return () => loadYaml('standard input', 'text of -e from', undefined, { ...loading, files }).value;
}

async function readExtra(texts: readonly string[], keys: Keys): Promise<Record<string, unknown>> {
  // Without a prototype: `__proto__` is a name as any other.
  const given = Object.create(null) as Record<string, unknown>;
  for (const text of texts) {
    if (text.startsWith('@')) {
      const value = await withKeys(keys, giving(text.slice(1), keys.loading));
      if (value === null || typeof value !== 'object' || Array.isArray(value)) {
        throw new DrillbookError('usage.extra', `-e ${text}: a mapping of names to values is wanted`);
      }
      Object.assign(given, value);
      continue;
    }
    const split = text.indexOf('=');
    if (split < 1) throw new DrillbookError('usage.extra', `-e ${text}: NAME=VALUE or @FILE is wanted`);
    given[text.slice(0, split)] = text.slice(split + 1);
  }
  return given;
}

/** What the command line asks for; throws `usage` errors. */
export async function askedOf(invocation: Invocation, keys: Keys): Promise<Asked> {
  const { positionals, options } = invocation;
  const [playbook, surplus] = positionals;
  if (playbook === undefined)
    throw new DrillbookError('usage.playbook', 'which playbook?', {
      hint: 'drillbook run PLAYBOOK -i INVENTORY',
    });
  if (surplus !== undefined)
    throw new DrillbookError('usage.playbook', `one playbook at a time; \`${surplus}\` is one too many`);
  const inventory = options['inventory'];
  if (typeof inventory !== 'string') {
    throw new DrillbookError('usage.inventory', 'which inventory?', {
      hint: 'give it with -i; `drillbook lab up` makes one',
    });
  }
  const extra = (options['extra'] as readonly string[] | undefined) ?? [];
  const text = (name: string): string | undefined => {
    const value = options[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    playbook: resolve(playbook),
    inventory: absoluteSpec([inventory]),
    passwords: await passwordsOf(invocation),
    given: await readExtra(extra, keys),
    typed: extra.flatMap((given) => (given.startsWith('@') ? [] : given.slice(0, given.indexOf('=')))),
    selection: {
      limit: text('limit'),
      tags: words(options['tags']),
      skipTags: words(options['skip-tags']),
      startAt: text('start-at'),
    },
  };
}

export interface Prepared {
  readonly plan: Plan;
  readonly redactor: Redactor;
  /** What it was made from. */
  readonly files: Pinned;
  /** What was encrypted in them. */
  readonly opened: Opened;
  /** Makes the plan again from other files and inputs. */
  replan(files: Files, given: Vars): Promise<Plan>;
}

/** Makes known what is secret by where it stands, rather than by a tag; returns the names that were given. */
function hearSecrets(
  playbook: Playbook,
  inventory: Inventory,
  inputs: Inputs,
  redactor: Redactor,
): ReadonlySet<string> {
  const secrets = new Set<string>();
  for (const [name, input] of Object.entries(playbook.inputs)) {
    if (!isSecretInput(input)) continue;
    secrets.add(name);
    redactor.addDeep(inputs.given[name]);
    redactor.addDeep(inputs.defaults[name]);
  }
  const isSecret = (value: unknown): boolean => redactor.value(value) !== value;
  for (const { connection, becoming, vars } of inventory.hosts.values()) {
    for (const value of [connection.password, connection.passphrase, becoming?.password]) redactor.add(value);
    // What stands in for a secret is one.
    for (const [name, value] of Object.entries(inputs.overrides)) {
      if (!isSecret(vars[name]) && !isSecret(playbook.vars[name])) continue;
      secrets.add(name);
      redactor.addDeep(value);
    }
  }
  return secrets;
}

function warnOfTyped(names: readonly string[]): void {
  const [name] = names;
  if (name === undefined) return;
  const all = names.map((one) => `\`${one}\``).join(', ');
  process.stderr.write(
    `warning: ${all}: a secret typed with -e stands in the process list of this machine, and in the shell's history\n` +
      `  give it with -e @FILE (YAML, may be encrypted) or -e @- (standard input)${names.length === 1 ? '' : ', all of them'}\n`,
  );
}

/**
 * Everything that can be known before the first host is touched: parses, checks, and plans. All problems are thrown
 * together. `ask` is for missing inputs, `files` is what all is read through.
 */
export async function prepare(
  asked: Asked,
  redactor: Redactor,
  ask?: (question: string, isSecret: boolean) => Promise<string>,
  files = pinnedFiles(),
  keys = keysOf({ options: {} }, redactor),
): Promise<Prepared> {
  const plan = await planFrom(asked, redactor, files, keys, ask);
  const replan: Prepared['replan'] = (other, given) =>
    planFrom({ ...asked, given, typed: [] }, redactor, other, keys);
  return { plan, redactor, files, opened: keys.opened, replan };
}

async function planFrom(
  asked: Asked,
  redactor: Redactor,
  files: Files,
  keys: Keys,
  ask?: (question: string, isSecret: boolean) => Promise<string>,
): Promise<Plan> {
  const parsing = { modules: moduleNames(), files, ...keys.loading };
  const misread: DrillbookError[] = [];
  const written = await withKeys(keys, () => readable(() => loadPlaybook(asked.playbook, parsing), misread));
  const reading = { ...parsing, playbookFolder: dirname(asked.playbook) };
  const read = await withKeys(keys, () => loadInventory(asked.inventory, reading));
  const inventory = withPasswords(read, asked.passwords ?? {});
  const { settingsProblems } = await import('../cluster/stacks.ts');
  const settings = await settingsProblems(inventory);
  if (settings.length > 0 || misread.length > 0)
    throw new Problems([
      ...misread,
      ...settings,
      ...(await problemsOfPlan(written, inventory, asked, files)),
    ]);
  const variables = new Set([
    ...Object.keys(written.vars),
    ...ownNames(written),
    ...[...inventory.hosts.values()].flatMap((host) => Object.keys(host.vars)),
  ]);
  const question = (name: string, input: Input): Promise<string> =>
    (ask as NonNullable<typeof ask>)(`${input.description ?? name} [${name}]: `, isSecretInput(input));
  const inputs = await readInputs(written, asked.given, variables, ask && question, files);
  const playbook = await withKeys(keys, () =>
    withVarsFiles(written, parsing, (name, from) =>
      renderText(name, { ...written.own, inputs: { ...inputs.defaults, ...inputs.given } }, from),
    ),
  );
  const secrets = hearSecrets(playbook, inventory, inputs, redactor);
  warnOfTyped((asked.typed ?? []).filter((name) => secrets.has(name)));
  const modules = await modulesOf(playbook);
  return makePlan(playbook, inventory, inputs, modules, asked.selection, files);
}

/** What is wrong with the plan too, where something else is: nothing is asked for before all of it was told. */
async function problemsOfPlan(
  playbook: Playbook,
  inventory: Inventory,
  { selection }: Asked,
  files: Files,
): Promise<readonly DrillbookError[]> {
  try {
    makePlan(playbook, inventory, NO_INPUTS, await modulesOf(playbook), selection, files);
    return [];
  } catch (error) {
    return problemsIn(error);
  }
}
