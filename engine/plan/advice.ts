import { DrillbookError } from '../core/error.ts';
import type { Item, Play, Playbook, Task } from '../parse/playbook.ts';
import { eachTemplate } from '../parse/template.ts';
import type { Source } from '../parse/yaml.ts';

/** Commands that nobody gets back what they take. */
const DESTROYS =
  /\brm\s+(?:-\w+\s+)*-\w*[rR]\w*|\bmkfs\b|\bdd\s[^|;]*\bof=\/dev\/(?!null|stdout|stderr|fd)|\bdrop\s+(?:database|table|schema)\b|\bwipefs\b|\bdrbdadm\s+create-md\b|\b(?:lv|vg|pv)remove\b/i;

const PASSWORD = /(?:^|_)(?:password|passphrase|passwd)$/i;

function* tasksOf(items: readonly Item[]): Generator<Task> {
  for (const item of items)
    if (item.kind === 'block')
      for (const part of [item.block, item.rescue, item.always]) yield* tasksOf(part);
    else {
      yield item;
      if (item.undo) yield item.undo;
    }
}

const isPlain = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && !value.includes('{{');

/** Passwords that anybody reads who reads the file. */
function openPasswords(
  value: unknown,
  source: Source,
  path: readonly (string | number)[],
  isSecret: (value: string) => boolean,
): DrillbookError[] {
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, inner]): DrillbookError[] => {
    const place = [...path, Array.isArray(value) ? Number(key) : key];
    if (!PASSWORD.test(key) || !isPlain(inner) || isSecret(inner))
      return openPasswords(inner, source, place, isSecret);
    // The line would show it.
    const at = source.placeOf(place);
    const hint = 'encrypt it with `drillbook secrets encrypt`, or make it an input of type secret';
    return [new DrillbookError('lint.password', `\`${key}\` stands here in plain text`, { at, hint })];
  });
}

function ofTask({ module, params, keywords, source, path }: Task): DrillbookError[] {
  const text = typeof params === 'string' ? params : (params as { cmd?: unknown } | null)?.cmd;
  const isCommand = module === 'shell' || module === 'command';
  const found = isCommand && typeof text === 'string' ? DESTROYS.exec(text) : null;
  if (!found || keywords.destroys !== undefined) return [];
  const message = `\`${found[0].trim()}\` destroys, and the operator is not asked`;
  const hint = 'say what with `destroys: …`: then a run wants a code for it';
  return [source.error('lint.destroys', [...path, module], message, hint)];
}

function ofHandlers(play: Play): DrillbookError[] {
  const notified = new Set(
    [...tasksOf(play.tasks), ...play.handlers].flatMap(({ keywords }) => keywords.notify ?? []),
  );
  if ([...notified].some((name) => name.includes('{{'))) return [];
  return play.handlers.flatMap(({ keywords, source, path }) => {
    const { name = '', listen } = keywords as { readonly name?: string; readonly listen?: readonly string[] };
    if ([name, ...(listen ?? [])].some((word) => notified.has(word) || word.includes('{{'))) return [];
    return [source.error('lint.handler', [...path, 'name'], `nothing notifies the handler \`${name}\``)];
  });
}

/** Names of inputs that are spoken of anywhere, templates and conditions alike. */
function inputsUsed(value: unknown, used: Set<string>): void {
  const hear = (text: string): void => {
    for (const [, name = ''] of text.matchAll(/\binputs(?:\.|\[["'])([\w-]+)/g)) used.add(name);
    // Handed on as a whole.
    if (/\binputs\b(?!\.|\[)/.test(text)) used.add('*');
  };
  eachTemplate(value, [], hear);
  hear(JSON.stringify(value) ?? '');
}

function ofInputs(playbook: Playbook, templates: readonly string[]): DrillbookError[] {
  const used = new Set<string>();
  const { source, plays } = playbook;
  for (const text of templates) inputsUsed(`{{${text}`, used);
  inputsUsed([playbook.vars, playbook.varsFiles, playbook.confirm, playbook.invariants], used);
  for (const play of plays) {
    inputsUsed(play.keywords, used);
    const visit = (items: readonly Item[]): void => {
      for (const item of items) {
        inputsUsed(item.kind === 'task' ? [item.keywords, item.params] : item.keywords, used);
        if (item.kind === 'block') for (const part of [item.block, item.rescue, item.always]) visit(part);
        else if (item.undo) visit([item.undo]);
      }
    };
    visit([...play.tasks, ...play.handlers]);
  }
  if (used.has('*')) return [];
  return Object.keys(playbook.inputs).flatMap((name) =>
    used.has(name)
      ? []
      : [source.error('lint.input', ['inputs', name], `nothing uses the input \`${name}\``)],
  );
}

/**
 * What is not wrong and most likely not meant: handlers and inputs for nothing, passwords in plain text, destruction
 * without a question. `templates` are the texts of template files, `isSecret` knows what was marked or encrypted.
 */
export function adviceOf(
  playbook: Playbook,
  templates: readonly string[],
  isSecret: (value: string) => boolean,
): DrillbookError[] {
  return [
    ...ofInputs(playbook, templates),
    ...openPasswords(playbook.own, playbook.source, ['vars'], isSecret),
    ...playbook.plays.flatMap((play) => [
      ...openPasswords(play.keywords.vars, play.source, [...play.path, 'vars'], isSecret),
      ...ofHandlers(play),
      ...[...tasksOf(play.tasks), ...play.handlers].flatMap(ofTask),
    ]),
  ];
}
