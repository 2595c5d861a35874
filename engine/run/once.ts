import { DrillbookError } from '../core/error.ts';
import { render } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import { attempts } from './attempts.ts';
import { contextFor } from './context.ts';
import type { Circumstances } from './context.ts';
import type { Course } from './course.ts';
import type { Ended } from './ended.ts';
import type { HostState } from './host-state.ts';
import { hostNamed } from './scope.ts';

function circumstances(
  course: Course,
  step: Step,
  scope: Scope,
  host: string,
): Omit<Circumstances, 'signal'> {
  const env = Object.fromEntries(
    step.environment
      .flatMap((layer) => Object.entries(layer))
      .map(([name, value]) => [name, String(render(value, scope, `environment.${name}`))]),
  );
  const become =
    typeof step.become === 'object' ? (render(step.become, scope, 'become') as Step['become']) : step.become;
  if (typeof become === 'object') course.tools.redactor.add(become.password);
  return {
    scope,
    become,
    env,
    file: step.source.file,
    progress: (message, percent) => {
      const shown = step.isSecret ? 'under way' : course.tools.redactor.text(message);
      course.journal.append({ event: 'step_progress', step: step.id, host, message: shown, percent });
    },
  };
}

/** A step, or one item of its loop, on the host it is meant for or delegated to. */
export async function once(course: Course, step: Step, state: HostState, scope: Scope): Promise<Ended> {
  const { tools, options } = course;
  const { module } = step;
  if (!module) throw new DrillbookError('bug', `step ${step.id} has no module`);
  const target =
    step.delegateTo === undefined ? state.host.name : String(render(step.delegateTo, scope, 'delegate_to'));
  const host = hostNamed(tools.world.plan.inventory, target);
  if (!host) throw new DrillbookError('step.delegate', `delegate_to: no host \`${target}\` in the inventory`);
  const own = circumstances(course, step, scope, state.host.name);
  return attempts(step, module, scope, {
    isCheck: step.checkMode ?? options.isCheck,
    isBlurred: state.hasChanges,
    contextWith: (signal) => contextFor(host, { ...own, signal }, tools),
    // What was looked up before may read otherwise after the change; and see mayHaveChanged.
    beforeChange: () => course.journal.commit(),
    onRetry: (attempt, retries, reason) => own.progress(`attempt ${attempt} of ${retries + 1}: ${reason}`),
    interrupt: options.interrupt,
  });
}
