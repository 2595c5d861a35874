import { DrillbookError } from '../core/error.ts';
import { render } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import type { Step } from '../plan/plan.ts';
import { attempts } from './attempts.ts';
import type { Life } from './attempts.ts';
import { stepLedger } from './obligations/bending.ts';
import { contextFor } from './context.ts';
import type { Circumstances } from './context.ts';
import type { Course } from './course.ts';
import { settled } from './doubt.ts';
import type { Ended } from './ended.ts';
import type { HostState } from './host-state.ts';
import { itemKey, settler } from './jobs.ts';
import type { Taking } from './jobs.ts';
import { comeBack, isAway } from './reconnect.ts';
import { roleBinding } from './role-binding.ts';
import { hostNamed } from './scope.ts';
import { dueOf } from './obligations/ledgers.ts';
import { restsAfter } from './journal/earlier.ts';
import { endItem } from './journal/tries.ts';
import type { Tries } from './journal/tries.ts';

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
    restsOfEarlierRuns() {
      const { playbook, inventory } = course.tools.world.plan;
      const work = { playbook: playbook.file, inventory: inventory.spec };
      const milestone = { step: step.id, host: step.isRunOnce ? undefined : host };
      return restsAfter(course.journal.stateDir, work, milestone);
    },
    obligations: (cluster) => dueOf(course.journal.stateDir, course.tools.world.plan.inventory, cluster),
    progress: (message, percent) => tell(course, step, host, message, { percent }),
  };
}

function tell(
  course: Course,
  step: Step,
  host: string,
  message: string,
  more: { percent?: number | undefined; item?: number | undefined; attempt?: number; isRerun?: boolean } = {},
): void {
  const shown = step.isSecret ? 'under way' : course.tools.redactor.text(message);
  course.journal.append({ event: 'step_progress', step: step.id, host, message: shown, ...more });
}

/** A step, or one item of its loop, on one host, and how often it was tried. */
export interface Turn {
  readonly tries: Tries;
  /** Index of the item; 0 without a loop. */
  readonly index: number;
  readonly item?: unknown;
  /** It may have been under way when the run was interrupted. */
  readonly isAgain: boolean;
}

function takingOf(course: Course, step: Step, host: string, turn: Turn, life: Life): Taking {
  const { tries, index } = turn;
  const { run } = course.journal;
  const item = step.keywords.loop === undefined ? index : `${index}-${itemKey(run, turn.item)}`;
  const key = `${tries.job}.${item}.${tries.ran.get(index) ?? 0}.${life.attempt}`;
  let number = 0;
  return {
    run,
    key,
    settle: settler(run, key),
    since: tries.since,
    isAgain: life.isAgain,
    isState: step.module?.kind === 'state',
    boots: course.tools.boots,
    next: () => number++,
    kept: life.kept,
    keep(name, value) {
      const shown = step.isSecret ? { is_hidden: true } : course.tools.redactor.value(value);
      course.journal.append(
        { event: 'step_kept', step: step.id, host, item: index, name, value: shown },
        shown === value ? undefined : { value },
      );
      return course.journal.commit();
    },
  };
}

/** In this run, be it before an interruption: a host that never answered is not waited for. */
const wasReached = ({ tools, history }: Course, host: string): boolean =>
  tools.connections.wasReached(host) || history.boots.some((boot) => boot.host === host);

/** A step, or one item of its loop, on the host it is meant for or delegated to. */
export async function once(
  course: Course,
  step: Step,
  state: HostState,
  scope: Scope,
  turn: Turn,
): Promise<Ended> {
  const { tools, options, journal } = course;
  const { module } = step;
  const { tries, index } = turn;
  const { name } = state.host;
  if (!module) throw new DrillbookError('bug', `step ${step.id} has no module`);
  const { inventory } = tools.world.plan;
  const target = step.delegateTo === undefined ? name : String(render(step.delegateTo, scope, 'delegate_to'));
  const host = hostNamed(inventory, target);
  if (!host) throw new DrillbookError('step.delegate', `delegate_to: no host \`${target}\` in the inventory`);
  const isCheck = step.checkMode ?? options.isCheck;
  const ledger = isCheck ? undefined : stepLedger(course, step, state, host, scope);
  const binding = await roleBinding(isCheck ? undefined : step.role, step, host, tools.world);
  const own = circumstances(course, step, scope, name);
  const item = step.keywords.loop === undefined ? undefined : index;
  const { connections } = tools;
  const { interrupt } = options;
  const waiting = {
    ...{ connections, journal, interrupt },
    tell: (message: string) => tell(course, step, name, message),
  };
  const attempting = (isAgain: boolean): Promise<Ended> =>
    attempts(step, module, scope, {
      isCheck,
      ledger,
      isBlurred: state.hasChanges,
      spent: tries.spent.get(index) ?? 0,
      isAgain,
      kept: tries.kept.get(index) ?? new Map(),
      contextWith(signal, life) {
        const taking = takingOf(course, step, name, turn, life);
        const onExchange = (): void => void (life.hasActed = true);
        const { guards: roleGuards } = binding;
        return contextFor(host, { ...own, signal, taking, roleGuards, onExchange }, tools);
      },
      whileActing: binding.whileActing,
      onRetry(attempt, retries, reason) {
        tell(course, step, name, `attempt ${attempt} of ${retries + 1}: ${reason}`, { item, attempt });
        return journal.commit();
      },
      async comeBack(error) {
        if (!isAway(error) || !wasReached(course, error.host)) return undefined;
        const away = hostNamed(inventory, error.host);
        return away && comeBack(away, error, waiting);
      },
      interrupt: options.interrupt,
    });
  const ended = await settled(course, step, await attempting(turn.isAgain), turn.isAgain);
  if (ended !== 'rerun') return ledger?.settle(ended) ?? ended;
  tell(course, step, name, 'its outcome is unknown; run again as decided', { item, isRerun: true });
  await journal.commit();
  endItem(tries, index);
  const again = await settled(course, step, await attempting(false), false);
  return again === 'rerun'
    ? { outcome: 'in_doubt', result: {}, reason: 'its outcome is unknown again' }
    : (ledger?.settle(again) ?? again);
}
