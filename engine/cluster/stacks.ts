import type { z } from 'zod';
import type { Bend, BoundRole, ClusterStatus, Watch } from '../core/cluster.ts';
import { DrillbookError } from '../core/error.ts';
import type { Cluster, Guard } from '../core/host.ts';
import type { Context } from '../core/module.ts';
import { suggest } from '../core/nearest.ts';
import type { Inventory } from '../parse/inventory.ts';
import { schemaProblems, valueAt } from '../parse/schema.ts';

/** What a stack's file exports. */
export interface Stack {
  /** Its output is good as its input: what is parsed once more stays as it is. */
  readonly settingsSchema: z.ZodType;
  /** Reads the pair on its nodes; a node that does not answer is part of the answer. */
  readStatus(cluster: Cluster, contextOf: (node: string) => Context): Promise<ClusterStatus>;
  /** What of the pair is bent, and what is seen not to be. Pure. */
  bends(status: ClusterStatus): readonly Bend[];
  /** Refuses, in the exchange of an act on `node`, where its witnesses do not say `wanted`. */
  roleGuard(cluster: Cluster, node: string, wanted: BoundRole): Guard;
  /** What guards the pair when its nodes lose each other, and what that means then; by its settings alone. */
  protection?(cluster: Cluster): string;
  /** How a node is watched while a drill runs; left out where a stack has no drills. */
  watch?(cluster: Cluster): Watch;
}

const STACKS: Record<string, () => Promise<Stack>> = {
  dbackup: () => import('./dbackup.ts'),
  kwdb: () => import('./kwdb.ts'),
  usphere: () => import('./usphere.ts'),
};

/** For tests: a stack that stands in for one with real witnesses. */
export function addStack(name: string, stack: Stack): void {
  STACKS[name] = () => Promise.resolve(stack);
}

function stackOf({ stack }: Cluster): Promise<Stack> {
  const load = STACKS[stack];
  if (load === undefined) throw new Error(`no adapter for stack ${stack}`);
  return load();
}

/** Stack → the schema of its settings, of those that were asked for. */
const SCHEMAS = new Map<string, z.ZodType>();

/** From then on `withDefaults` knows it. */
export async function schemaOf(stack: string): Promise<z.ZodType | undefined> {
  const schema = (await STACKS[stack]?.())?.settingsSchema;
  if (schema) SCHEMAS.set(stack, schema);
  return schema;
}

/** Settings of a cluster with the defaults of its stack; undefined where templates in them keep these from being told. */
export function settingsWithDefaults(stack: string, settings: unknown): unknown {
  const schema = SCHEMAS.get(stack);
  return schema ? schema.safeParse(settings).data : settings;
}

/** The same of settings that were rendered; what its schema does not take stays as it is. */
export const withDefaults = (stack: string, settings: unknown): unknown =>
  settingsWithDefaults(stack, settings) ?? settings;

/** The settings of a cluster with the defaults of its stack; undefined where they cannot be told before templates are rendered. */
export async function settingsInForce({ stack, settings }: Cluster): Promise<unknown> {
  return (await schemaOf(stack))?.safeParse(settings).data;
}

/** Cluster → what guards it, as far as its stack tells that; no host is asked. */
export async function protections(clusters: Iterable<Cluster>): Promise<Readonly<Record<string, string>>> {
  const told: Record<string, string> = {};
  for (const cluster of clusters) {
    const stack = await STACKS[cluster.stack]?.();
    if (stack?.protection !== undefined) told[cluster.name] = stack.protection(cluster);
  }
  return told;
}

const isTemplate = (value: unknown): boolean => typeof value === 'string' && value.includes('{{');

/** What is wrong with the clusters of an inventory, before any host is touched. */
export async function settingsProblems({
  clusters,
  clusterPlaces,
}: Inventory): Promise<readonly DrillbookError[]> {
  const problems: DrillbookError[] = [];
  for (const { name, stack, settings } of clusters.values()) {
    const place = clusterPlaces.get(name);
    if (!place) continue;
    const { source, path } = place;
    const settingsSchema = await schemaOf(stack);
    if (settingsSchema === undefined) {
      const hint = suggest(stack, Object.keys(STACKS));
      problems.push(source.error('parse.stack', [...path, 'stack'], `\`${stack}\`: unknown stack`, hint));
      continue;
    }
    const { error } = settingsSchema.safeParse(settings);
    // What a template becomes is known only with the host's variables.
    const issues = (error?.issues ?? []).filter(({ path: at }) => !isTemplate(valueAt(settings, at)));
    const own = { ...error, issues } as z.ZodError;
    problems.push(...schemaProblems(own, source, [...path, 'settings'], settingsSchema));
  }
  return problems;
}

/** The state of the pair, read on its nodes now. */
export async function readStatus(
  cluster: Cluster,
  contextOf: (node: string) => Context,
): Promise<ClusterStatus> {
  return (await stackOf(cluster)).readStatus(cluster, contextOf);
}

/** What is asked on `node` right before an act that is bound to `wanted`; `cluster` with its settings rendered. */
export const roleGuard = async (cluster: Cluster, node: string, wanted: BoundRole): Promise<Guard> =>
  (await stackOf(cluster)).roleGuard(cluster, node, wanted);

/** What of a pair a run may bend, as its status tells. */
export async function bendsOf(cluster: Cluster, status: ClusterStatus): Promise<readonly Bend[]> {
  const load = STACKS[cluster.stack];
  return load === undefined ? [] : (await load()).bends(status);
}

/** How the nodes of a pair are watched; `cluster` with its settings rendered. Throws where its stack has no drills. */
export async function watchOf(cluster: Cluster): Promise<Watch> {
  const { watch } = await stackOf(cluster);
  if (watch) return watch(cluster);
  throw new DrillbookError('usage.drill', `there are no drills for clusters of stack ${cluster.stack} yet`);
}
