import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { foldReadings } from '../../engine/cluster/_drbd-pair.ts';
import { parseReading } from '../../engine/cluster/_drbd-read.ts';
import type { Reading } from '../../engine/cluster/_drbd-read.ts';
import { settingsSchema } from '../../engine/cluster/kwdb.ts';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import { renderText } from '../../engine/parse/template.ts';

const given = {
  drbd: {
    resource: 'r',
    device: '/dev/drbd3',
    disks: { a: '/dev/a', b: '/dev/b' },
    addresses: { a: '10.0.0.1', b: '10.0.0.2' },
    secret: 'x',
  },
  filesystem: { directory: '/data', type: 'ext4' },
  corosync: { links: [{ a: '10.0.0.1', b: '10.0.0.2' }] },
  arbitration: { ping: ['10.0.0.254'] },
  service: 'db',
  vip: { address: '10.0.0.9' },
};
const settings = settingsSchema.parse(given);

/** As the node's script says it. */
const reading = (generations: string, connection: string, words = '', role = 'Secondary'): Reading =>
  parseReading(
    `word drbd ${role}\n${words}
exists resource name:r role:${role} suspended:no
exists connection name:r peer-node-id:0 connection:${connection} role:Unknown congested:no
exists device name:r volume:0 minor:3 disk:UpToDate size:65496
exists peer-device name:r peer-node-id:0 volume:0 replication:Off peer-disk:DUnknown out-of-sync:4
${generations === '' ? '' : `gi ${generations}`}
exists -`,
    'r',
  );
const gi = (...letters: string[]): string =>
  `${letters.map((letter) => letter.repeat(15) + '0').join(':')}:1:1:0:0:0:0:0`;

function status(a: Reading | undefined, b: Reading | undefined): ClusterStatus {
  const cluster = { name: 'pair', stack: 'kwdb', nodes: ['a', 'b'], settings: {} };
  const seen = (name: string, one: Reading | undefined) => ({
    name,
    address: name,
    reading: one,
    silence: 'no way',
  });
  return foldReadings(cluster, settings, { promotable: 'x', units: ['db'] }, [seen('a', a), seen('b', b)]);
}
const told = ({ state, replication, problems }: ClusterStatus): unknown => [
  state,
  replication.state,
  problems.map(({ code }) => code),
];

const SERVING = 'word mount here\nword vip here';

test.each([
  ['both StandAlone', 'StandAlone', 'StandAlone'],
  ['one of them StandAlone', 'StandAlone', 'Connecting'],
  ['neither of them aware of it', 'Connecting', 'Connecting'],
])('a split brain, %s, is told with what each has and how it ends', (_, one, other) => {
  const now = status(
    reading(gi('B', 'A', '0', '0'), one, SERVING, 'Primary'),
    reading(gi('C', 'A', '0', '0'), other),
  );
  expect(told(now)).toEqual(['error', 'broken', ['drbd.split_brain']]);
  expect(now.problems[0]).toMatchObject({
    message: expect.stringMatching(
      /^Split brain: a \(Primary, .* mounted at \/data.* 4.0 KiB .*b could be discarded$/,
    ),
    hint: expect.stringContaining('repair-split-brain.yml'),
  });
});

test('a lost connection is no split brain', () => {
  const serving = reading(gi('B', 'A', '0', '0'), 'StandAlone', SERVING, 'Primary');
  const behind = parseReading(
    `gi ${gi('A', '0', '0', '0')}\nexists resource name:r role:Secondary suspended:no\nexists device name:r volume:0 minor:3 disk:UpToDate size:65496\nexists -`,
    'r',
  );
  const now = status(serving, behind);
  expect(told(now)).toEqual(['degraded', 'stopped', ['drbd.disconnected']]);
  expect(now.problems[0]?.message).toContain('b is behind');
});

test('disks that have nothing in common', () => {
  const now = status(
    reading(gi('B', '0', '0', '0'), 'StandAlone', SERVING, 'Primary'),
    reading(gi('C', '0', '0', '0'), 'StandAlone'),
  );
  expect(told(now)).toEqual(['degraded', 'broken', ['drbd.unrelated']]);
});

test('that DRBD may discard a side by itself is told', () => {
  const policies = 'policy 0 disconnect\npolicy 1 discard-secondary';
  const [problem] = status(
    reading(gi('B', 'A', '0', '0'), 'StandAlone', SERVING, 'Primary'),
    reading(gi('C', 'A', '0', '0'), 'Connecting', policies),
  ).problems;
  expect(problem?.message).toMatch(/^Split brain: .*after-sb-1pri discard-secondary.*without a copy/);
});

test('where one node is away, what the other says counts', () => {
  const alone = reading(gi('B', 'A', '0', '0'), 'StandAlone', SERVING, 'Primary');
  expect(told(status(alone, undefined))).toEqual(['error', 'broken', ['node-offline', 'drbd.broken']]);
});

test.each([
  [{}, ['disconnect', 'disconnect', 'disconnect']],
  [{ after_split: 'discard' }, ['discard-zero-changes', 'discard-secondary', 'disconnect']],
  [{ after_split: 'ask' }, ['disconnect', 'disconnect', 'disconnect']],
])('what DRBD does by itself after a split, with %j', (more, policies) => {
  const file = new URL('../../templates/drbd-global_common.conf.hbs', import.meta.url);
  const cluster = { settings: settingsSchema.parse({ ...given, drbd: { ...given.drbd, ...more } }) };
  const text = renderText(readFileSync(file, 'utf8'), { cluster }, 'template');
  expect([...text.matchAll(/after-sb-[012]pri (\S+);/g)].map(([, word]) => word)).toEqual(policies);
});
