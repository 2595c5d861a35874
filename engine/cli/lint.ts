import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DrillbookError, Problems } from '../core/error.ts';
import { nearest } from '../core/nearest.ts';
import { moduleNames } from '../modules/registry.ts';
import { isInventory, loadInventory } from '../parse/inventory.ts';
import type { Inventory } from '../parse/inventory.ts';
import { loadDrill } from '../drill/load.ts';
import { loadPlaybook, loadTasks } from '../parse/playbook.ts';
import type { Playbook } from '../parse/playbook.ts';
import { disk, isProgram } from '../core/files.ts';
import { placeText } from '../core/place.ts';
import type { Files } from '../core/files.ts';
import { loadYaml } from '../parse/yaml.ts';
import type { Loading } from '../parse/yaml.ts';
import { adviceOf } from '../plan/advice.ts';
import { dedupe } from '../plan/checks.ts';
import { makePlan } from '../plan/expand.ts';
import { NO_INPUTS } from '../plan/inputs.ts';
import { withKeys } from '../secrets/encrypted.ts';
import { command } from './_command.ts';
import type { Invocation } from './_command.ts';
import { KEY_HELP, KEY_OPTIONS, lenientKeys } from './_keys.ts';
import { modulesOf, problemsIn, readable } from './_problems.ts';

const isYaml = (name: string): boolean => /\.ya?ml$/.test(name);

/** What the stacks of its clusters say of their settings. */
async function settingsProblems(inventory: Inventory): Promise<readonly DrillbookError[]> {
  if (inventory.clusters.size === 0) return [];
  const stacks = await import('../cluster/stacks.ts');
  return stacks.settingsProblems(inventory);
}

/** Links to folders are not followed: they may lead in a circle. */
function* filesIn(folder: string): Generator<string> {
  const entries = readdirSync(folder, { withFileTypes: true }).filter(({ name }) => !name.startsWith('.'));
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const inner = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesIn(inner);
    else if (isYaml(entry.name) && statSync(inner, { throwIfNoEntry: false })?.isFile()) yield inner;
  }
}

function filesUnder(path: string): Iterable<string> {
  try {
    return statSync(path).isDirectory() ? filesIn(path) : [path];
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
    const near =
      code === 'ENOENT'
        ? nearest(basename(path), disk.list(dirname(path))?.map((entry) => basename(entry.path)) ?? [])
        : undefined;
    throw new DrillbookError('usage.path', `${path} ${why}`, { hint: near && `did you mean \`${near}\`?` });
  }
}

const noInventory = (): Inventory => ({
  spec: '',
  file: '',
  vars: [],
  clusterPlaces: new Map(),
  hosts: new Map(),
  groups: new Map(),
  clusters: new Map(),
  settings: new Map(),
});

/**
 * Without an inventory, what only an inventory can tell (hosts, variables) is not held against a playbook: where a name
 * is near to a known one, it is told as advice.
 */
async function lintPlaybook(
  playbook: Playbook,
  inventory: Inventory | undefined,
  isPartial: boolean,
  isSecret: (value: string) => boolean,
): Promise<readonly DrillbookError[]> {
  const modules = await modulesOf(playbook);
  try {
    const { templates } = makePlan(playbook, inventory ?? noInventory(), NO_INPUTS, modules);
    return adviceOf(playbook, templates, isSecret);
  } catch (error) {
    if ((inventory && !isPartial) || !(error instanceof Problems)) throw error;
    const own = error.problems.filter(
      ({ code, message }) =>
        (inventory !== undefined || code !== 'plan.hosts') &&
        !(code === 'plan.name' && message.startsWith('unknown variable')),
    );
    if (own.length > 0) throw new Problems(own);
    return error.problems.filter(isTypo).map(asAdvice);
  }
}

/** A name that differs from a known one by a slip of the finger. */
function isTypo({ code, message, hint = '' }: DrillbookError): boolean {
  const [word = '', near = ''] = [message, hint].map((text) => /`(.*)`/.exec(text)?.[1] ?? '');
  // Short words are near to too many others.
  const isLong = near.length >= 5 && word.length >= 5;
  return code === 'plan.name' && isLong && Math.abs(near.length - word.length) <= 1;
}

const asAdvice = (error: DrillbookError): DrillbookError =>
  new DrillbookError('lint.name', error.message, error);

/** Lint runs nothing but what `-i` names. */
const STILL: Files = {
  ...disk,
  output(path) {
    if (!isProgram(path)) return undefined;
    throw new DrillbookError('usage.lint', `${path} is a program, and lint runs none`, {
      hint: 'give it with -i: then it is run',
    });
  },
};

function kindOf(
  file: string,
  loading: Loading,
): 'playbook' | 'drill' | 'inventory' | 'tasks' | 'vars' | 'other' {
  // Named by the operator, and no YAML: an inventory of Ansible's, or a program that prints one.
  if (!isYaml(file)) return 'inventory';
  const { value } = loadYaml(file, 'file', undefined, loading);
  if (Array.isArray(value)) return 'tasks';
  if (value === null || typeof value !== 'object') return 'other';
  const isPlaybook =
    'plays' in value || ('name' in value && nearest('plays', Object.keys(value)) !== undefined);
  if (isPlaybook) return 'playbook';
  const isDrill =
    'faults' in value || ('name' in value && nearest('faults', Object.keys(value)) !== undefined);
  return isDrill ? 'drill' : isInventory(value) ? 'inventory' : 'vars';
}

const isWarning = ({ code }: DrillbookError): boolean => code.startsWith('lint.');

const rowOf = (error: DrillbookError): object => {
  const { code, message, at, hint, excerpt } = error;
  return { severity: isWarning(error) ? 'warning' : 'error', code, message, at, hint, excerpt };
};

async function say(
  problems: readonly DrillbookError[],
  count: number,
  { output, isStrict, redactor }: Pick<Invocation, 'output' | 'redactor'> & { readonly isStrict: boolean },
): Promise<number> {
  const warnings = problems.filter(isWarning);
  const isWrong = problems.length > (isStrict ? 0 : warnings.length);
  if (output === 'json' || output === 'jsonl') {
    const whole = JSON.stringify({ files: count, problems: problems.map(rowOf) });
    process.stdout.write(`${redactor.text(whole)}\n`);
    return isWrong ? 2 : 0;
  }
  if (isWrong) throw new Problems(problems);
  if (warnings.length > 0) {
    const { errorText } = await import('../report/problem.ts');
    process.stderr.write(`${redactor.text(errorText(new Problems(warnings), { isColor: false }))}\n\n`);
  }
  process.stdout.write(`${count} ${count === 1 ? 'file' : 'files'} in order\n`);
  return 0;
}

export default command({
  summary: 'check playbooks, drills and inventories; nothing is touched',
  usage: '[PATH…] [-i INVENTORY]',
  options: {
    inventory: { type: 'string', short: 'i', multiple: true },
    ...KEY_OPTIONS,
    strict: { type: 'boolean' },
  },
  help: {
    inventory: 'the inventory whose hosts and variables the playbooks use',
    strict: 'exit code 2 for warnings too',
    ...KEY_HELP,
  },
  async run({ positionals, options, output, redactor }) {
    const keys = lenientKeys(options, redactor);
    const { unopened } = keys;
    const secrets = new Set<string>();
    const loading: Loading = {
      ...keys.loading,
      sources: new Map(),
      onSecret(value, isImplied) {
        secrets.add(value);
        keys.loading.onSecret?.(value, isImplied);
      },
    };
    const paths =
      positionals.length > 0 ? positionals : ['playbooks', 'inventories'].filter((path) => existsSync(path));
    const given = options['inventory'];
    const problems: DrillbookError[] = [];
    let count = 0;
    /** Read by a playbook, as variables or tasks. */
    const parts = new Set<string>();
    const others: string[] = [];
    const tasks: string[] = [];
    for (const file of paths.flatMap((path) => [...filesUnder(resolve(path))])) {
      const misread: DrillbookError[] = [];
      try {
        const kind = await withKeys(keys, () => kindOf(file, loading));
        if (kind === 'playbook') {
          const playbook = await withKeys(keys, () =>
            readable(() => loadPlaybook(file, { modules: moduleNames(), ...loading }), misread),
          );
          for (const part of playbook.files) parts.add(part);
          problems.push(...misread);
          const inventory =
            typeof given === 'string' ? await withKeys(keys, () => loadInventory(given, loading)) : undefined;
          if (inventory) problems.push(...(await settingsProblems(inventory)));
          const isSecret = (value: string): boolean => secrets.has(value);
          problems.push(...(await lintPlaybook(playbook, inventory, unopened.length > 0, isSecret)));
        } else if (kind === 'drill') await withKeys(keys, () => loadDrill(file, loading));
        else if (kind === 'inventory')
          problems.push(
            ...(await settingsProblems(
              await withKeys(keys, () =>
                loadInventory(file, { mayLackHosts: true, files: STILL, ...loading }),
              ),
            )),
          );
        else if (kind === 'other') others.push(file);
        else if (kind === 'tasks') tasks.push(file);
        if (['playbook', 'drill', 'inventory'].includes(kind) && misread.length === 0) count++;
      } catch (error) {
        problems.push(...problemsIn(error));
      }
    }
    const closed = new Set(unopened.map(placeText));
    if (closed.size > 0)
      process.stderr.write(`encrypted, and not looked into without a key: ${[...closed].join(', ')}\n`);
    for (const file of others.filter((name) => !parts.has(name)))
      problems.push(
        new DrillbookError('parse.schema', `${file} holds neither a mapping nor a list of tasks`, {
          at: { file, line: 1, column: 1 },
        }),
      );
    for (const file of tasks.filter((name) => !parts.has(name))) {
      try {
        await withKeys(keys, () => loadTasks(file, { modules: moduleNames(), ...loading }));
        count++;
      } catch (error) {
        problems.push(...problemsIn(error));
      }
    }
    return say(dedupe(problems), count, { output, isStrict: options['strict'] === true, redactor });
  },
});
