import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNodes } from './_nodes.ts';
import type { Nodes } from './_nodes.ts';
import { difference } from './_pair.ts';
import { runOurs, startTheirs } from './_sides.ts';
import type { Side } from './_sides.ts';
import { PAIRS } from './pairs.ts';

let nodes: Nodes;
let theirs: ReadonlyMap<string, Promise<Side>>;

describe('drillbook does as Ansible does, or as docs/ansible.md says', () => {
  // Vitest tells the suite second, and wants the first spelt so.
  // eslint-disable-next-line no-empty-pattern
  beforeAll(async ({}, suite) => {
    nodes = await startNodes();
    const asked = new Set(suite.tasks.filter(({ mode }) => mode === 'run').map(({ name }) => name));
    theirs = startTheirs(
      PAIRS.filter(({ name }) => asked.has(name)),
      nodes,
    );
  });
  afterAll(() => nodes.stop());

  for (const pair of PAIRS) {
    test.concurrent(pair.name, async () => {
      const ours = await runOurs(pair, nodes);
      const other = await theirs.get(pair.name);
      const lines = difference(other?.story ?? [], ours.story);
      const told = `theirs:\n${other?.said}\n${other?.story.join('\n')}\nours:\n${ours.said}`;
      expect(lines, told).toEqual(pair.differs?.lines ?? []);
    });
  }
});
