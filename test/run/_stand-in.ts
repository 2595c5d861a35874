import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { agreedRole, votesBy } from '../../engine/cluster/model.ts';
import { roleGuard } from '../../engine/cluster/role-guard.ts';
import { addStack } from '../../engine/cluster/stacks.ts';
import type { Stack } from '../../engine/cluster/stacks.ts';
import type { NodeStatus } from '../../engine/core/cluster.ts';
import type { Context } from '../../engine/core/module.ts';
import { localInventory } from './_engine.ts';

/** Two witnesses that say `primary` or `standby`, or anything else. */
const WORDS = { primary: 'primary', standby: 'standby' } as const;
const VOICES = { says: WORDS, holds: WORDS };
const WITNESSES = Object.keys(VOICES);

const settingsSchema = z.strictObject({
  witnesses: z.string().describe('Folder with a file for each witness'),
});

/** Prints what each witness says; one that is not there says nothing. */
const LOOK = `for name in says holds; do cat "$1/$name" 2>/dev/null || echo unknown; done`;

async function nodeOf(context: Context): Promise<NodeStatus> {
  const { witnesses } = settingsSchema.parse(context.cluster?.settings);
  const { stdout } = await context.sh(LOOK, { args: [witnesses], isLook: true });
  const said = Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((word, i) => [WITNESSES[i] ?? '', word]),
  );
  const { name } = context.host;
  const role = agreedRole(votesBy(VOICES, said));
  return { name, address: name, online: true, role, witnesses: said, services: {} };
}

/** Stands in for a stack with real witnesses: what a node's two witnesses say lies in files, for tests to change. */
const standIn: Stack = {
  settingsSchema,
  bends: () => [],
  async readStatus({ name, stack, nodes }, contextOf) {
    return {
      cluster: name,
      stack,
      state: 'running',
      nodes: await Promise.all(nodes.map((node) => nodeOf(contextOf(node)))),
      replication: { kind: 'mysql', state: 'normal', lagSeconds: 0, percent: null },
      vips: [],
      heartbeats: [],
      arbitration: {},
      problems: [],
    };
  },
  roleGuard: ({ settings }, node, wanted) =>
    roleGuard(node, wanted, {
      voices: VOICES,
      script: `for name in says holds; do
  word=
  { read -r word <"$1/$name"; } 2>/dev/null || word=unknown
  witness "$name" "$word"
done`,
      args: [settingsSchema.parse(settings).witnesses],
    }),
};

addStack('stand-in', standIn);

/** An inventory of the pair `a` and `b`, both this machine, whose roles are what `tell` says; `c` belongs to no pair. */
export const standInInventory = (
  dir: string,
  cluster: string,
): string => `${localInventory(dir, ['a', 'b', 'c'])}
clusters:
  ${cluster}: { stack: stand-in, nodes: [a, b], settings: { witnesses: '{{dir}}' } }
`;

/** What the witnesses of a node say from now on. */
export function tell(dir: string, node: string, says: string, holds: string = says): void {
  mkdirSync(join(dir, node), { recursive: true });
  writeFileSync(join(dir, node, 'says'), `${says}\n`);
  writeFileSync(join(dir, node, 'holds'), `${holds}\n`);
}

/** What they say now. */
export const told = (dir: string, node: string): readonly string[] =>
  WITNESSES.map((name) => readFileSync(join(dir, node, name), 'utf8').trim());
