import { resolve } from 'node:path';
import { parse as parseYamlText } from 'yaml';
import { bounded } from '../core/bounded.ts';
import { parseDuration } from '../core/duration.ts';
import { DrillbookError, Problems } from '../core/error.ts';
import { disk } from '../core/files.ts';
import type { Files } from '../core/files.ts';
import { suggest } from '../core/nearest.ts';
import type { Input } from '../parse/playbook-schema.ts';
import type { Playbook } from '../parse/playbook.ts';

export type Given = Readonly<Record<string, unknown>>;

export const isSecretInput = (input: Input): boolean => input.type === 'secret' || input.secret === true;

function typed(input: Input, value: unknown, files: Files): unknown {
  const text = typeof value === 'string' ? value : undefined;
  const wrong = (): never => {
    throw new Error(`expected ${input.type}`);
  };
  switch (input.type) {
    case 'string':
    case 'secret':
      return text ?? (typeof value === 'number' || typeof value === 'boolean' ? String(value) : wrong());
    case 'integer':
    case 'number': {
      const number = typeof value === 'number' ? value : text?.trim() ? Number(text) : Number.NaN;
      const isFine = input.type === 'integer' ? Number.isSafeInteger(number) : Number.isFinite(number);
      return isFine ? number : wrong();
    }
    case 'boolean':
      if (typeof value === 'boolean') return value;
      if (text !== undefined && /^(true|yes|on|1)$/i.test(text)) return true;
      if (text !== undefined && /^(false|no|off|0)$/i.test(text)) return false;
      return wrong();
    case 'duration': {
      // It stays text with its unit: what takes it would read a bare number as seconds.
      const known = text ?? (typeof value === 'number' ? `${value}s` : wrong());
      return parseDuration(known as string) === undefined ? wrong() : known;
    }
    case 'path': {
      const path = resolve(text ?? (wrong() as never));
      if (files.find([path]) === undefined) throw new Error(`${path} does not exist on this machine`);
      return path;
    }
    case 'list':
    case 'map': {
      const parsed: unknown = text === undefined ? value : parseYamlText(text);
      const isFine =
        input.type === 'list'
          ? Array.isArray(parsed)
          : parsed !== null && typeof parsed === 'object' && !Array.isArray(parsed);
      return isFine ? parsed : wrong();
    }
  }
}

function matches(pattern: string, text: string): boolean {
  try {
    return bounded(() => new RegExp(pattern).test(text));
  } catch (cause) {
    throw new Error(`pattern ${pattern}: ${(cause as Error).message}`, { cause });
  }
}

function checked(input: Input, value: unknown, files: Files): unknown {
  const result = typed(input, value, files);
  if (input.choices && !input.choices.some((choice) => String(choice) === String(result))) {
    throw new Error(`allowed: ${input.choices.join(', ')}`);
  }
  if (input.pattern !== undefined && !matches(input.pattern, String(result))) {
    throw new Error(`must match ${input.pattern}`);
  }
  return result;
}

export interface Inputs {
  /** Values of the declared inputs, typed; defaults are not here but in `defaults`, since they may be templates. */
  readonly given: Given;
  readonly defaults: Given;
  /** `-e` values that override variables rather than inputs. */
  readonly overrides: Given;
}

/** For a plan that nothing is asked for. */
export const NO_INPUTS: Inputs = { given: {}, defaults: {}, overrides: {} };

/**
 * Types what was given with `-e`. Missing ones are asked for by `ask` (undefined where nobody can be asked).
 * Throws `Problems` naming every input that is missing or wrong; the values of secret ones are not shown.
 */
export async function readInputs(
  playbook: Playbook,
  given: Given,
  knownVariables: ReadonlySet<string>,
  ask?: (name: string, input: Input) => Promise<string>,
  files: Files = disk,
): Promise<Inputs> {
  const problems: DrillbookError[] = [];
  const values: Record<string, unknown> = {};
  const defaults: Record<string, unknown> = {};
  const overrides: Record<string, unknown> = {};
  const { source, inputs } = playbook;
  for (const [name, value] of Object.entries(given)) {
    if (Object.hasOwn(inputs, name)) continue;
    if (knownVariables.has(name)) overrides[name] = value;
    else {
      const hint = suggest(name, [...Object.keys(inputs), ...knownVariables]);
      problems.push(
        new DrillbookError('plan.input', `-e ${name}: neither an input of this playbook nor a variable`, {
          hint,
        }),
      );
    }
  }
  for (const [name, input] of Object.entries(inputs)) {
    try {
      if (Object.hasOwn(given, name)) values[name] = checked(input, given[name], files);
      else if (input.default !== undefined) defaults[name] = input.default;
      else if (ask) values[name] = checked(input, await ask(name, input), files);
      else
        problems.push(
          source.error(
            'plan.input',
            ['inputs', name],
            `input \`${name}\` has no value`,
            isSecretInput(input)
              ? 'give it with -e @FILE (YAML, may be encrypted) or -e @- (standard input); on a terminal it is asked for'
              : `give it with -e ${name}=…`,
          ),
        );
    } catch (error) {
      if (error instanceof DrillbookError && !error.code.startsWith('parse')) throw error;
      const shown = isSecretInput(input) ? '' : ` ${JSON.stringify(given[name])}`;
      problems.push(
        source.error(
          'plan.input',
          ['inputs', name],
          `input \`${name}\`${shown}: ${(error as Error).message}`,
        ),
      );
    }
  }
  if (problems.length > 0) throw new Problems(problems);
  return { given: values, defaults, overrides };
}
