import { foresightOf } from '../plan/foresight.ts';
import type { Foreseen } from '../plan/foresight.ts';
import type { Plan, PlanNode, Step } from '../plan/plan.ts';

type Foresights = ReadonlyMap<string, Foreseen>;

/** `when` of a task, its blocks and its play; also what is done with its result, so that nothing has to be parsed. */
function stepJson(step: Step, foresights: Foresights): object {
  const { id, name, module, moduleName, keywords, destroys, at } = step;
  const { loop, register, notify, timeout, retries } = keywords;
  return {
    ...{ id, name, module: moduleName, kind: module?.kind ?? 'language' },
    ...{ isDestructive: destroys !== undefined, destroys: destroys ?? null, role: step.role ?? null },
    when: step.when.map((condition) => condition.text),
    ...{ hasLoop: loop !== undefined, isRunOnce: step.isRunOnce, delegateTo: step.delegateTo ?? null },
    ...{ register: register ?? null, notify: notify ?? [], tags: [...new Set(step.tags)] },
    ...{ timeoutMs: timeout ?? null, retries: retries ?? (step.until.length > 0 ? 3 : 0) },
    ...{ isIgnored: step.isIgnored, isSecret: step.isSecret, isSelected: step.isSelected },
    ...(foresights.get(id) ?? {}),
    at,
    ...(step.undo ? { undo: stepJson(step.undo, foresights) } : {}),
  };
}

function nodeJson(node: PlanNode, foresights: Foresights): object {
  if (node.kind === 'step') return stepJson(node, foresights);
  const part = (nodes: readonly PlanNode[]): object[] => nodes.map((inner) => nodeJson(inner, foresights));
  return { id: node.id, block: part(node.block), rescue: part(node.rescue), always: part(node.always) };
}

/** `plan --output json` (docs/contract.md); `hostsOf` gives the hosts that a play may run on. */
export function planJson(
  plan: Plan,
  hostsOf: (pattern: string) => readonly string[],
  protection: Readonly<Record<string, string>>,
): object {
  const { playbook, code, confirmations, invariants, limit } = plan;
  const foresights = foresightOf(plan);
  const plays = plan.plays.map(({ id, name, hosts, nodes, handlers }) => ({
    ...{ id, name, hosts, candidates: hostsOf(hosts) },
    steps: nodes.map((node) => nodeJson(node, foresights)),
    handlers: handlers.map((handler) => stepJson(handler, foresights)),
  }));
  return {
    ...{ name: playbook.name, description: playbook.description, limit: limit ?? null },
    ...{ code, confirmations, protection, invariants: invariants.map(({ name }) => name), plays },
  };
}
