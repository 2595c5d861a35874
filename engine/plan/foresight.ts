import { needsRoles } from './hosts.ts';
import type { Plan, PlannedPlay, PlanNode, Step } from './plan.ts';
import { readsOf } from './reads.ts';
import type { Read } from './reads.ts';

/**
 * What can be told of a step before a run. `known`: whether it runs and with what follows from files and inputs alone.
 * `unknown_until_run`: from what a run reads, which --check reads too. `not_foreseeable`: from what an action leaves.
 */
export type Foresight = 'known' | 'unknown_until_run' | 'not_foreseeable';

export interface Foreseen {
  readonly foresight: Foresight;
  /** Why: `facts`, `roles`, a registered name with its step, and the like. */
  readonly because: readonly string[];
}

const ORDER = ['known', 'unknown_until_run', 'not_foreseeable'] as const satisfies readonly Foresight[];

const worst = (all: readonly Foresight[]): Foresight => ORDER.findLast((one) => all.includes(one)) ?? 'known';

/** What earlier steps have registered or set: name → how far it can be told, and by which step. */
type Learned = Map<string, { readonly foresight: Foresight; readonly step: string }>;

/** Of another host only what the inventory says of it is known. */
const WRITTEN = ['vars', 'name', 'address', 'groups'];

function judge({ root, rest }: Read, learned: Learned): readonly [Foresight, string] | undefined {
  const known = learned.get(root);
  if (known) return [known.foresight, `${root} (${known.step})`];
  if (root === 'facts') return ['unknown_until_run', 'facts'];
  if (root === 'failure') return ['unknown_until_run', 'what failed'];
  if (root === 'cluster' && (rest[0] === 'primary' || rest[0] === 'standby'))
    return ['unknown_until_run', 'roles'];
  if (root === 'hosts' && rest[1] !== undefined && !WRITTEN.includes(rest[1]))
    return ['unknown_until_run', `hosts.${rest.slice(0, 2).join('.')}`];
  return undefined;
}

/** What `register` and `set` of a step give to those after it. */
function learn(step: Step, own: Foresight, learned: Learned): void {
  const { keywords, module, moduleName, params, id } = step;
  // An action only pretends under --check, unless it is told to run there.
  const isPretended = module?.kind === 'action' && step.checkMode !== false;
  const foresight = isPretended ? 'not_foreseeable' : worst([own, 'unknown_until_run']);
  if (keywords.register !== undefined) learned.set(keywords.register, { foresight, step: id });
  if (moduleName === 'set' && params !== null && typeof params === 'object')
    for (const name of Object.keys(params)) learned.set(name, { foresight: own, step: id });
}

/** How far each step of a plan can be told before it runs, by id. */
export function foresightOf(plan: Plan): ReadonlyMap<string, Foreseen> {
  const found = new Map<string, Foreseen>();
  const learned: Learned = new Map();
  const { playbook, inventory, templateFiles: templates } = plan;
  const reading = { playbook, inventory, templates };
  const visit = (step: Step, play: PlannedPlay, where: readonly string[]): void => {
    const all: (readonly [Foresight, string])[] = where.map((why) => ['unknown_until_run', why]);
    for (const read of readsOf(step, play, reading)) {
      const ground = judge(read, learned);
      if (ground) all.push(ground);
    }
    const foresight = worst(all.map(([one]) => one));
    found.set(step.id, { foresight, because: [...new Set(all.map(([, why]) => why))] });
    learn(step, foresight, learned);
    if (step.undo) visit(step.undo, play, [...where, 'only where its task has changed something']);
  };
  const walk = (nodes: readonly PlanNode[], play: PlannedPlay, where: readonly string[]): void => {
    for (const node of nodes) {
      if (node.kind === 'step') visit(node, play, where);
      else {
        walk(node.block, play, where);
        walk(node.rescue, play, [...where, 'only where a step before it fails']);
        walk(node.always, play, where);
      }
    }
  };
  for (const play of plan.plays) {
    const isByRole = needsRoles(play.hosts) || play.hosts.includes('{{');
    const where = isByRole ? [`which hosts are ${play.hosts}`] : [];
    walk(play.nodes, play, where);
    for (const handler of play.handlers) visit(handler, play, [...where, 'only where it is notified']);
  }
  return found;
}
