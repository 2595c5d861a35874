import { protections } from '../cluster/stacks.ts';
import type { PlanNode, Step } from '../plan/plan.ts';
import { selectHosts } from '../plan/hosts.ts';
import { terminalAsk } from './_ask.ts';
import { foresightOf } from '../plan/foresight.ts';
import { leftOut } from '../plan/left-out.ts';
import type { Foreseen } from '../plan/foresight.ts';
import { protectionTexts } from '../report/wording.ts';
import { command } from './_command.ts';
import { planJson } from './_plan-json.ts';
import { keysOf } from './_keys.ts';
import { askedOf, PLAN_HELP, PLAN_OPTIONS, prepare } from './_prepare.ts';

type Foresights = ReadonlyMap<string, Foreseen>;

const FORESIGHTS = {
  known: '',
  unknown_until_run: 'unknown until run',
  not_foreseeable: 'not foreseeable',
} as const;

/** What the values of the step hang on; that a handler or a rescue may not run at all shows by where it stands. */
function foresightText({ foresight, because }: Foreseen): string {
  const why = because.filter((one) => !/^(only|which) /.test(one));
  return why.length === 0 ? '' : `${FORESIGHTS[foresight]}: ${why.join(', ')}`;
}

function marks(step: Step, foresights: Foresights): string {
  const kind = step.module?.kind ?? 'language';
  const words = [kind];
  if (step.destroys !== undefined) words.push('destroys');
  if (step.role !== undefined) words.push(`only where ${step.role.replace('_', ' ')}`);
  if (step.when.length > 0) words.push(`when ${step.when.map((condition) => condition.text).join(' and ')}`);
  if (step.keywords.loop !== undefined) words.push('loop');
  if (step.delegateTo !== undefined) words.push(`on ${step.delegateTo}`);
  if (step.tags.length > 0) words.push(`tags ${[...new Set(step.tags)].join(', ')}`);
  if (step.isLasting === true) words.push('stays');
  const foreseen = foresights.get(step.id);
  const far = foreseen === undefined ? '' : foresightText(foreseen);
  if (far !== '') words.push(far);
  if (!step.isSelected) words.push('left out');
  return words.join('; ');
}

const stepLine = (step: Step, pad: string, foresights: Foresights): string =>
  `${pad}${step.name}  [${step.moduleName}: ${marks(step, foresights)}]  ${step.id}`;

function* lines(nodes: readonly PlanNode[], depth: number, foresights: Foresights): Generator<string> {
  const pad = '  '.repeat(depth);
  for (const node of nodes) {
    if (node.kind === 'step') {
      yield stepLine(node, pad, foresights);
      if (node.undo) yield stepLine(node.undo, `${pad}  undone by: `, foresights);
      continue;
    }
    for (const part of ['block', 'rescue', 'always'] as const) {
      if (node[part].length === 0) continue;
      yield `${pad}${part}:`;
      yield* lines(node[part], depth + 1, foresights);
    }
  }
}

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
    const protection = await protections(inventory.clusters.values());
    if (invocation.output === 'json' || invocation.output === 'jsonl') {
      const whole = planJson(plan, hostsOf, protection);
      process.stdout.write(`${redactor.text(JSON.stringify(whole, undefined, 2))}\n`);
      return 0;
    }
    const foresights = foresightOf(plan);
    const text = [
      playbook.name,
      ...(playbook.description === undefined ? [] : [playbook.description.trim()]),
      ...protectionTexts(protection).map((text) => `Protection of ${text}`),
    ];
    for (const play of plan.plays) {
      text.push(
        '',
        `${play.name}: ${play.hosts} (${hostsOf(play.hosts).join(', ') || 'found when it runs'})`,
        ...lines(play.nodes, 1, foresights),
      );
      if (play.handlers.length > 0) text.push('  handlers:', ...lines(play.handlers, 2, foresights));
    }
    const left = leftOut(plan.plays);
    if (left.length > 0) text.push('', `Left out: ${left.length} of the steps`);
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
