import type { PlanNode, Step } from '../plan/plan.ts';
import { selectHosts } from '../plan/hosts.ts';
import { terminalAsk } from './_ask.ts';
import { command } from './_command.ts';
import { keysOf } from './_keys.ts';
import { askedOf, PLAN_HELP, PLAN_OPTIONS, prepare } from './_prepare.ts';

function marks(step: Step): string {
  const kind = step.module?.kind ?? 'language';
  const words = [kind];
  if (step.destroys !== undefined) words.push('destroys');
  if (step.role !== undefined) words.push(`only where ${step.role.replace('_', ' ')}`);
  if (step.when.length > 0) words.push(`when ${step.when.map((condition) => condition.text).join(' and ')}`);
  if (step.keywords.loop !== undefined) words.push('loop');
  if (step.delegateTo !== undefined) words.push(`on ${step.delegateTo}`);
  if (step.isLasting === true) words.push('stays');
  if (!step.isSelected) words.push('left out');
  return words.join('; ');
}

const stepLine = (step: Step, pad: string): string =>
  `${pad}${step.name}  [${step.moduleName}: ${marks(step)}]  ${step.id}`;

function* lines(nodes: readonly PlanNode[], depth: number): Generator<string> {
  const pad = '  '.repeat(depth);
  for (const node of nodes) {
    if (node.kind === 'step') {
      yield stepLine(node, pad);
      if (node.undo) yield stepLine(node.undo, `${pad}  undone by: `);
      continue;
    }
    for (const part of ['block', 'rescue', 'always'] as const) {
      if (node[part].length === 0) continue;
      yield `${pad}${part}:`;
      yield* lines(node[part], depth + 1);
    }
  }
}

const stepJson = (step: Step): object => ({
  id: step.id,
  name: step.name,
  module: step.moduleName,
  kind: step.module?.kind ?? 'language',
  isDestructive: step.destroys !== undefined,
  role: step.role ?? null,
  when: step.when.map((condition) => condition.text),
  isSelected: step.isSelected,
  at: step.at,
  ...(step.undo ? { undo: stepJson(step.undo) } : {}),
});

const nodeJson = (node: PlanNode): object =>
  node.kind === 'step'
    ? stepJson(node)
    : {
        id: node.id,
        block: node.block.map(nodeJson),
        rescue: node.rescue.map(nodeJson),
        always: node.always.map(nodeJson),
      };

export default command({
  summary: 'show the ordered steps of a playbook; nothing is touched',
  usage: 'PLAYBOOK -i INVENTORY [-e NAME=VALUE]',
  options: PLAN_OPTIONS,
  help: PLAN_HELP,
  async run(invocation) {
    const { redactor } = invocation;
    const keys = keysOf(invocation, redactor);
    const asked = await askedOf(invocation, keys);
    const { plan } = await prepare(asked, redactor, terminalAsk(), undefined, keys);
    const { playbook, inventory, limit } = plan;
    const hostsOf = (pattern: string): readonly string[] => {
      const limited = limit === undefined ? undefined : selectHosts(limit, inventory);
      return pattern.includes('{{')
        ? []
        : selectHosts(pattern, inventory).filter((host) => limited?.includes(host) ?? true);
    };
    if (invocation.output === 'json' || invocation.output === 'jsonl') {
      const plays = plan.plays.map((play) => ({
        id: play.id,
        name: play.name,
        hosts: play.hosts,
        candidates: hostsOf(play.hosts),
        steps: play.nodes.map(nodeJson),
        handlers: play.handlers.map(stepJson),
      }));
      const { name, description } = playbook;
      const whole = { name, description, code: plan.code, confirmations: plan.confirmations, plays };
      process.stdout.write(`${redactor.text(JSON.stringify(whole, undefined, 2))}\n`);
      return 0;
    }
    const text = [
      playbook.name,
      ...(playbook.description === undefined ? [] : [playbook.description.trim()]),
    ];
    for (const play of plan.plays) {
      text.push(
        '',
        `${play.name}: ${play.hosts} (${hostsOf(play.hosts).join(', ') || 'found when it runs'})`,
        ...lines(play.nodes, 1),
      );
      if (play.handlers.length > 0) text.push('  handlers:', ...lines(play.handlers, 2));
    }
    if (plan.confirmations.length > 0) {
      text.push(
        '',
        'To be confirmed:',
        ...plan.confirmations.map((sentence) => `  ${sentence}`),
        `Confirm with --yes ${plan.code}`,
      );
    }
    process.stdout.write(`${redactor.text(text.join('\n'))}\n`);
    return 0;
  },
});
