import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNodes } from './_nodes.ts';
import type { Nodes } from './_nodes.ts';
import { difference } from './_pair.ts';
import { runOurs, startTheirs } from './_sides.ts';
import type { Side } from './_sides.ts';
import { PAIRS } from './pairs.ts';

let nodes: Nodes;
let theirs: ReadonlyMap<string, Promise<Side>>;

beforeAll(async () => {
  nodes = await startNodes();
  theirs = startTheirs(PAIRS, nodes);
});
afterAll(() => nodes.stop());

describe('drillbook does as Ansible does, or as docs/ansible.md says', () => {
  for (const pair of PAIRS) {
    test.concurrent(pair.name, async () => {
      const ours = await runOurs(pair, nodes);
      const other = await theirs.get(pair.name);
      const lines = difference(other?.story ?? [], ours.story);
      expect(lines, `theirs:\n${other?.said}\n${other?.story.join('\n')}\nours:\n${ours.said}`).toEqual(
        pair.differs?.lines ?? [],
      );
    });
  }
});
