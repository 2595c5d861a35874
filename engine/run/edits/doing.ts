import { fullParams, paramMeta } from '../../plan/params.ts';
import type { Plan, Step } from '../../plan/plan.ts';
import { digestOf } from './pinned.ts';
import type { Pinned } from './pinned.ts';
import { pinnedOf } from './step-files.ts';

/** Keyword, `MODULE.PARAMETER` or `file NAME` → what is written there. */
export type Doing = ReadonlyMap<string, unknown>;

/** Merged from blocks and play into fields of the step, or no part of what it does. */
const NOT_ITS_OWN: readonly string[] = [
  'id',
  'name',
  'when',
  'until',
  'changed_when',
  'failed_when',
  'vars',
  'tags',
  'become',
  'environment',
  'delegate_to',
  'role',
  'run_once',
  'ignore_errors',
  'any_errors_fatal',
  'no_log',
  'check_mode',
  'destroys',
];

/** How it is tried and shown: what has finished is not another for it. */
const MANNER: readonly string[] = [
  'label',
  'retries',
  'delay',
  'timeout',
  'on_interrupt',
  'no_log',
  'any_errors_fatal',
  'is among the steps to run',
];

export const isManner = (part: string): boolean => MANNER.includes(part);

const texts = (conditions: Step['changedWhen']): readonly string[] | undefined =>
  conditions?.map(({ text }) => text);

const orNothing = (list: readonly string[]): readonly string[] | undefined =>
  list.length > 0 ? list : undefined;

/** The parameters under the names an operator knows them by. */
function paramsOf({ module, moduleName, params: raw }: Step): [string, unknown][] {
  const params = module ? fullParams(module, raw) : raw;
  if (params === null || typeof params !== 'object' || Array.isArray(params)) return [[moduleName, params]];
  return Object.entries(params).map(([name, value]: [string, unknown]) => [
    name === module?.shorthand ? moduleName : `${moduleName}.${name}`,
    value,
  ]);
}

/** True for what is not shown when it was changed. */
export function isHidden({ module, moduleName, isSecret }: Step, part: string): boolean {
  if (isSecret) return true;
  const name = part === moduleName ? module?.shorthand : part.replace(`${moduleName}.`, '');
  return module !== undefined && name !== undefined && paramMeta(module, name).secret === true;
}

/** What a step does by its own text and files; not what it is called nor where it stands. */
export function doingOf(step: Step, plan: Plan, files: Pinned): Doing {
  const { keywords } = step;
  const own = Object.entries(keywords).filter(([name]) => !NOT_ITS_OWN.includes(name));
  const read = pinnedOf(step, plan, files).map(({ name, content }): [string, unknown] => [
    `file ${name}`,
    typeof content === 'object' ? digestOf(content) : content,
  ]);
  const parts: [string, unknown][] = [
    ['module', step.moduleName],
    ...paramsOf(step),
    ...own,
    ...read,
    ['when', orNothing(step.when.map(({ text }) => text))],
    ['until', orNothing(step.until.map(({ text }) => text))],
    ['changed_when', texts(step.changedWhen)],
    ['failed_when', texts(step.failedWhen)],
    ['environment', step.environment.length > 0 ? Object.assign({}, ...step.environment) : undefined],
    ['become', step.become],
    ['delegate_to', step.delegateTo],
    ['role', step.role],
    ['run_once', step.isRunOnce || undefined],
    ['ignore_errors', step.isIgnored || undefined],
    ['any_errors_fatal', step.isFatal || undefined],
    ['no_log', step.isSecret || undefined],
    ['check_mode', step.checkMode],
    ['is among the steps to run', step.isSelected],
    ...[...(step.undo ? doingOf(step.undo, plan, files) : [])].map(([what, value]): [string, unknown] => [
      `undo: ${what}`,
      value,
    ]),
  ];
  return new Map(parts.filter(([, value]) => value !== undefined));
}
