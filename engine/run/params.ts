import { StepFailed } from '../core/error.ts';
import type { Module } from '../core/module.ts';
import { textProblems } from '../core/text.ts';
import { schemaProblems } from '../parse/schema.ts';
import { render } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import { fullParams, paramMeta } from '../plan/params.ts';
import type { Step } from '../plan/plan.ts';

/** A step's parameters as its module takes them: rendered once, checked, with their defaults. */
export function paramsOf(
  step: Pick<Step, 'moduleName' | 'params' | 'source'>,
  module: Module,
  scope: Scope,
): Record<string, unknown> {
  const raw = fullParams(
    module,
    typeof step.params === 'string' && !module.shorthand
      ? render(step.params, scope, step.moduleName)
      : step.params,
  );
  const rendered = Object.fromEntries(
    Object.entries(raw as Record<string, unknown>).map(([name, value]) => [
      name,
      paramMeta(module, name).cel ? value : render(value, scope, name),
    ]),
  );
  const [unfit] = textProblems(rendered);
  if (unfit) throw new StepFailed(`${step.moduleName}: \`${unfit.path.join('.')}\` ${unfit.why}`);
  const parsed = module.params.safeParse(rendered);
  if (parsed.success) return parsed.data;
  const [problem] = schemaProblems(parsed.error, { ...step.source, value: rendered }, [], module.params);
  throw new StepFailed(
    `${step.moduleName}: ${problem?.message ?? 'its parameters are not as described'}`,
    {},
    { hint: problem?.hint },
  );
}
