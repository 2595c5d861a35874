import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { lastWords } from '../_sh.ts';
import { childOf, childrenOf, parse, within } from './_xml.ts';
import type { Element } from './_xml.ts';

export const zNode = z.object({
  name: z.string().describe('Node'),
  is_online: z.boolean().describe('It is in the cluster'),
  is_standby: z.boolean().describe('It runs no resources, as the operator wishes'),
  is_maintenance: z.boolean().describe('Its resources are left alone'),
  is_unclean: z.boolean().describe('It is lost, and not known to be stopped'),
});
export const zInstance = z.object({
  id: z.string().describe('Resource'),
  agent: z.string().describe('Its agent'),
  role: z.string().describe('Started, Stopped, Promoted, Unpromoted, Starting, …'),
  node: z.string().nullable().describe('Where it runs'),
  is_managed: z.boolean().describe('Pacemaker starts and stops it'),
  is_failed: z.boolean().describe('Its last operation failed'),
  is_blocked: z.boolean().describe('It failed, and Pacemaker can do nothing more'),
  is_disabled: z.boolean().describe('It is to be stopped, as the operator wishes (target-role)'),
});
export const zFailure = z.object({
  resource: z.string().describe('Resource'),
  operation: z.string().describe('What failed: start, monitor, …'),
  node: z.string().describe('Where'),
  reason: z.string().describe('What the agent said'),
  at: z.string().describe('When, as Pacemaker tells it'),
});
export const zStatus = {
  nodes: z.array(zNode).describe('Nodes of the cluster'),
  instances: z.array(zInstance).describe('Resources, once for each node that runs them'),
  failures: z.array(zFailure).describe('Operations that failed and were not cleaned up'),
  has_quorum: z.boolean().describe('This part of the cluster may run resources'),
  dc: z.string().nullable().describe('The node that decides'),
};
/** What Pacemaker tells of the cluster, seen from one node (crm_mon(8)). */
export type Status = z.output<z.ZodObject<typeof zStatus>>;

const isTrue = (value: string | undefined): boolean => value === 'true';

/** As Pacemaker reads a boolean of its configuration. */
export const isOn = (value: string | null | undefined): boolean => /^(true|on|yes|y|1)$/i.test(value ?? '');

/** Names of roles before Pacemaker 2.1. */
const ROLES: Readonly<Record<string, string>> = { Master: 'Promoted', Slave: 'Unpromoted' };

function instancesOf(resource: Element): Status['instances'] {
  const { id = '', role = '', resource_agent: agent = '', ...flags } = resource.attributes;
  const nodes = childrenOf(resource, 'node').map(({ attributes }) => attributes['name'] ?? null);
  return (nodes.length === 0 ? [null] : nodes).map((node) => ({
    id,
    // `ocf::heartbeat:IPaddr2` in older versions.
    agent: agent.replace('::', ':'),
    role: ROLES[role] ?? role,
    node,
    is_managed: isTrue(flags['managed']),
    is_failed: isTrue(flags['failed']),
    is_blocked: isTrue(flags['blocked']),
    is_disabled: flags['target_role'] === 'Stopped',
  }));
}

/** RESOURCE_OPERATION_INTERVAL. */
const OPERATION = /^(.*?)_((?:pre|post)_notify_[a-z]+|migrate_(?:to|from)|[a-z-]+)_\d+$/;

function failureOf({ attributes }: Element): Status['failures'][number] {
  const [, resource = '', operation = ''] = OPERATION.exec(attributes['op_key'] ?? '') ?? [];
  const said = attributes['exitreason'] || attributes['exitstatus'] || '';
  return {
    resource,
    operation,
    node: attributes['node'] ?? '',
    reason: said,
    at: attributes['last-rc-change'] ?? '',
  };
}

/** Reads what `crm_mon --output-as=xml` printed. */
export function parseStatus(text: string): Status {
  const root = parse(text);
  const dc = childOf(childOf(root, 'summary'), 'current_dc')?.attributes ?? {};
  const resources = childOf(root, 'resources');
  return {
    nodes: childrenOf(childOf(root, 'nodes'), 'node').map(({ attributes }) => ({
      name: attributes['name'] ?? '',
      is_online: isTrue(attributes['online']) && !isTrue(attributes['pending']),
      is_standby: isTrue(attributes['standby']) || isTrue(attributes['standby_onfail']),
      is_maintenance: isTrue(attributes['maintenance']),
      is_unclean: isTrue(attributes['unclean']),
    })),
    instances: resources
      ? [...within(resources)].filter(({ name }) => name === 'resource').flatMap(instancesOf)
      : [],
    failures: childrenOf(childOf(root, 'failures'), 'failure').map(failureOf),
    has_quorum: isTrue(dc['with_quorum']),
    dc: dc['name'] ?? null,
  };
}

/** Undefined where Pacemaker does not run on the node. */
export async function readStatus(ctx: Context): Promise<Status | undefined> {
  const said = await ctx.sh('crm_mon --one-shot --inactive --output-as=xml', { isLook: true });
  // 102: not connected (crm_mon has no other word for a cluster that is not there).
  if (said.code === 102) return undefined;
  // Of a resource whose monitor failed it is said, too, that it is `not running`.
  if (said.code !== 0 && /not running|Not connected/i.test(said.stdout + said.stderr)) return undefined;
  if (said.code !== 0) throw new StepFailed(`The cluster cannot be read: ${lastWords(said)}`);
  return parseStatus(said.stdout);
}

export const notRunning = ({ host }: Context): StepFailed =>
  new StepFailed(
    `Pacemaker does not run on ${host.name}`,
    {},
    { hint: 'pacemaker.cluster builds and starts a cluster' },
  );

/** As `readStatus`; fails where Pacemaker does not run. */
export async function statusOf(ctx: Context): Promise<Status> {
  const status = await readStatus(ctx);
  if (status === undefined) throw notRunning(ctx);
  return status;
}

/** Failed operations in words. */
export const failuresText = (failures: Status['failures']): string =>
  failures
    .map(({ resource, operation, node, reason }) => `${resource} ${operation} on ${node}: ${reason}`)
    .join('; ');
