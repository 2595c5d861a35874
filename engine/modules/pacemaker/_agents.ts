import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { suggest } from '../../core/nearest.ts';
import { lastWords } from '../_sh.ts';
import { childOf, childrenOf, parse } from './_xml.ts';

/** What a resource agent says of itself (crm_resource --show-metadata). */
export interface Agent {
  readonly parameters: readonly { readonly name: string; readonly isRequired: boolean }[];
  /** Its actions with the timeouts and intervals that it advises. */
  readonly actions: readonly Readonly<Record<string, string>>[];
}

/** Options that each fence device has besides its agent's own (pacemaker-fenced(7)). */
const OF_FENCED = [
  ...['host_argument', 'host_map', 'host_list', 'host_check', 'delay_max', 'delay_base', 'action_limit'],
  ...['reboot', 'off', 'on', 'list', 'monitor', 'status'].flatMap((action) =>
    ['action', 'timeout', 'retries'].map((what) => `${action}_${what}`),
  ),
].map((name) => `pcmk_${name}`);

/** Fails where the node has no such agent. */
export async function readAgent(ctx: Context, name: string): Promise<Agent> {
  // Any unit has metadata, also one that is not there.
  const script = `case $1 in
systemd:*) systemctl cat "\${1#systemd:}" >/dev/null || exit ;;
esac
crm_resource --show-metadata "$1"`;
  const said = await ctx.sh(script, { args: [name], isLook: true });
  if (said.code !== 0)
    throw new StepFailed(
      `${ctx.host.name} has no resource agent ${name}: ${lastWords(said)}`,
      {},
      { hint: '`pcs resource list` names those that are installed; `systemd:UNIT` is any unit' },
    );
  return agentIn(name, said.stdout);
}

/** Of what `crm_resource --show-metadata` printed. */
export function agentIn(name: string, text: string): Agent {
  const root = parse(text);
  const parameters = childrenOf(childOf(root, 'parameters'), 'parameter').map(({ attributes }) => ({
    name: attributes['name'] ?? '',
    isRequired: attributes['required'] === '1' || attributes['required'] === 'true',
  }));
  const actions = childrenOf(childOf(root, 'actions'), 'action').map(({ attributes }) => attributes);
  if (!name.startsWith('stonith:')) return { parameters, actions };
  // The others of a fence agent (on, off, reboot, list, …) are for pacemaker-fenced to call.
  const isOperation = (one: string | undefined): boolean =>
    one === 'start' || one === 'stop' || one === 'monitor';
  return {
    parameters: [...parameters, ...OF_FENCED.map((one) => ({ name: one, isRequired: false }))],
    actions: actions.filter((one) => isOperation(one['name'])),
  };
}

/** Refuses options that the agent does not know, and a resource without those that it must have. */
export function checkOptions(
  resource: string,
  agent: string,
  options: Readonly<Record<string, string>>,
  { parameters }: Agent,
): void {
  const known = parameters.map(({ name }) => name);
  for (const name of Object.keys(options))
    if (!known.includes(name) && !agent.startsWith('systemd:'))
      throw new StepFailed(
        `${agent} has no option ${name} (resource ${resource})`,
        {},
        { hint: suggest(name, known) },
      );
  const missing = parameters.filter(({ name, isRequired }) => isRequired && options[name] === undefined);
  if (missing.length > 0)
    throw new StepFailed(
      `resource ${resource} lacks options that ${agent} must have: ${missing.map(({ name }) => name).join(', ')}`,
    );
}
