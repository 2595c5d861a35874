import { isBad } from '../../core/event.ts';
import type { Host } from '../../core/host.ts';
import type { Bending } from '../../core/module.ts';
import { renderText } from '../../parse/template.ts';
import type { Scope } from '../../parse/template.ts';
import type { Step } from '../../plan/plan.ts';
import type { Course } from '../course.ts';
import type { Ended } from '../ended.ts';
import type { HostState } from '../host-state.ts';
import { closed, keyOf } from './obligations.ts';
import type { Obligation } from './obligations.ts';
import { clusterOf } from '../scope.ts';

/** What one time of a step means to the ledger: told before the act, so that a crash leaves it open, not forgotten. */
export interface StepLedger {
  /** The parameters as they are now: from them a module tells what it opens or closes. */
  learn(params: Record<string, unknown>): void;
  /** Right before the act. What it would bend is durable in the journal when this resolves. */
  beforeAct(wouldChange: () => Promise<boolean> | boolean): Promise<void>;
  /** The module says that it changed nothing. */
  sawNoChange(): void;
  /** How the step, or the item of its loop, ended; gives that back. */
  settle(ended: Ended): Ended;
}

type Opening = Pick<Obligation, 'obligation' | 'message'>;

function nameIn(step: Step, scope: Scope): string {
  try {
    return renderText(step.name, scope, 'name');
  } catch {
    return step.name;
  }
}

/** `host` is where the step acts: delegated, another one than `state` is of. */
export function stepLedger(
  course: Course,
  step: Step,
  state: HostState,
  host: Host,
  scope: Scope,
): StepLedger {
  const { journal, tools } = course;
  const { ledger } = tools;
  const cluster = clusterOf(tools.inventory, host.name)?.name;
  const whereOf = (kind: Bending['scope']): string => (kind === 'cluster' ? cluster : undefined) ?? host.name;
  const isMine = (one: Obligation): boolean => one.step === step.id && one.host === state.host.name;
  let opening: Opening | undefined;
  let closing: string | undefined;
  let isTold = false;
  let isDeclared = false;
  let acts = 0;
  let isOpened = false;
  let isIdle = false;

  const append = ({ obligation, message }: Opening): void => {
    isOpened = true;
    journal.append({
      event: 'obligation_opened',
      obligation,
      host: state.host.name,
      ...(cluster === undefined ? {} : { cluster }),
      message: tools.redactor.text(message),
      step: step.id,
      ...(step.undo === undefined ? {} : { undo: step.undo.id }),
      ...(step.isLasting === true ? { isLasting: true } : {}),
    });
  };
  const isOpenAlready = (): boolean => ledger.open().some(isMine);

  return {
    learn(params) {
      const told = step.module?.obligation?.(params);
      const bending = told && 'opens' in told && told.isOwn && !step.undo ? undefined : told;
      isDeclared = bending !== undefined && 'opens' in bending;
      if (bending && 'opens' in bending) {
        opening = { obligation: keyOf(bending.opens, whereOf(bending.scope)), message: bending.message };
      } else if (step.undo !== undefined) {
        const message = `\`${nameIn(step, scope)}\` is to be undone`;
        opening = { obligation: keyOf(step.undo.id, state.host.name), message };
      }
      if (!bending || !('closes' in bending)) return;
      closing = keyOf(bending.closes, whereOf(bending.scope));
      isTold = bending.isOwn !== true;
    },
    async beforeAct(wouldChange) {
      acts++;
      if (opening === undefined || isOpenAlready() || !(await wouldChange())) return;
      append(opening);
      await journal.commit();
    },
    sawNoChange() {
      isIdle = true;
    },
    settle(ended) {
      if (isBad(ended.outcome) || ended.outcome === 'not_run') return ended;
      const isChanged = ended.outcome === 'changed';
      const isClosing = isChanged || ended.outcome === 'ok';
      // It looked as if nothing were to do, and then there was.
      if (opening && isChanged && !(isDeclared && isIdle) && !isOpenAlready()) append(opening);
      // Once, and without effect. After a resume or another attempt an earlier one may have had it.
      const isNothing = isOpened && acts === 1 && ended.outcome === 'ok' && (isIdle || !isDeclared);
      const done = ledger
        .open()
        .filter(
          (one) =>
            (isClosing && one.obligation === closing) ||
            (one.undo === step.id && one.host === state.host.name) ||
            (isNothing && isMine(one)),
        );
      for (const one of done)
        journal.append(
          closed(one, step.id, step.isEarly === true && one.undo === step.id ? one.step : undefined),
        );
      // For the ledgers of other runs.
      if (
        closing !== undefined &&
        isTold &&
        isChanged &&
        done.every(({ obligation }) => obligation !== closing)
      )
        journal.append(closed({ obligation: closing, host: state.host.name }, step.id));
      return ended;
    },
  };
}
