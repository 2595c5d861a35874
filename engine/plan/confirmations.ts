import { createHash } from 'node:crypto';
import { withDefaults } from '../cluster/stacks.ts';
import type { Inventory } from '../parse/inventory.ts';
import type { Playbook } from '../parse/playbook.ts';
import { render, renderText } from '../parse/template.ts';
import type { Scope } from '../parse/template.ts';
import type { Inputs } from './inputs.ts';
import { isSecretInput } from './inputs.ts';
import { stepsOf } from './plan.ts';
import type { PlannedPlay } from './plan.ts';

/** What an operator has to confirm: the playbook's own sentence, then what each destroying step would destroy. */
export function confirmationsOf(
  playbook: Playbook,
  plays: readonly PlannedPlay[],
  inventory: Inventory,
  inputs: Inputs,
): string[] {
  const clusters = [...inventory.clusters.values()];
  const first = clusters[0];
  const cluster = first
    ? {
        name: clusters.map(({ name }) => name).join(', '),
        ...{ stack: first.stack, nodes: first.nodes },
        ...(clusters.length === 1 ? { settings: withDefaults(first.stack, first.settings) } : {}),
      }
    : { name: 'these hosts' };
  // What only the run will know stays as it is written.
  const toldIn = (scope: Scope, value: unknown): unknown => {
    try {
      return render(value, scope, 'confirm');
    } catch {
      return value;
    }
  };
  const defaults = Object.entries(inputs.defaults).map(([name, value]) => [name, toldIn({ cluster }, value)]);
  const scope = { cluster, inputs: { ...Object.fromEntries(defaults), ...inputs.given } };
  const told = (text: string): string => String(toldIn(scope, text));
  // `lint` has no values for inputs; which names there are was checked before.
  const isWhole = Object.keys(playbook.inputs).every((name) => Object.hasOwn(scope.inputs, name));
  const { confirm } = playbook;
  const own = confirm === undefined ? [] : [isWhole ? renderText(confirm, scope, 'confirm') : told(confirm)];
  const steps = plays.flatMap((play) => [...stepsOf(play.nodes), ...play.handlers]);
  const destroying = steps.flatMap((step) => {
    return step.destroys === undefined || !step.isSelected ? [] : [`${step.name}: ${told(step.destroys)}`];
  });
  return [...own, ...destroying];
}

/** Six characters that stand for what is confirmed: another playbook, pair or input has another code. */
export function codeOf(
  playbook: Playbook,
  inventory: Inventory,
  inputs: Inputs,
  limit: string | undefined,
  confirmations: readonly string[],
): string {
  const open = Object.entries(inputs.given).filter(([name]) => {
    const input = playbook.inputs[name];
    return input && !isSecretInput(input);
  });
  const text = JSON.stringify([
    playbook.name,
    [...inventory.hosts.keys()],
    [...inventory.clusters.keys()],
    open,
    limit ?? '',
    confirmations,
  ]);
  return createHash('sha256').update(text).digest('hex').slice(0, 6);
}
