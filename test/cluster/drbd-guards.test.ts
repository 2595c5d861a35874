import { expect, test } from 'vitest';
import {
  guardProblems,
  isUnguarded,
  protectionOf,
  protectionWith,
} from '../../engine/cluster/_drbd-guards.ts';
import { parseReading } from '../../engine/cluster/_drbd-read.ts';
import type { Guards } from '../../engine/cluster/_drbd-read.ts';
import { settingsSchema } from '../../engine/cluster/kwdb.ts';

const settings = (more: object) =>
  settingsSchema.parse({
    drbd: {
      ...{ resource: 'drbd3', device: '/dev/drbd3', secret: 'x' },
      disks: { dbk1: '/dev/a', dbk2: '/dev/b' },
      addresses: { dbk1: '10.0.0.1', dbk2: '10.0.0.2' },
    },
    filesystem: { directory: '/data', type: 'ext4' },
    corosync: { links: [{ dbk1: '10.0.0.1', dbk2: '10.0.0.2' }] },
    arbitration: 'none',
    service: 'db',
    vip: { address: '10.0.0.9' },
    ...more,
  });

/** As `cibadmin --query --no-children --xpath` of Pacemaker 2.1.5 prints it. */
const guards = (properties: Record<string, string>, more = ''): Guards => {
  const lines = Object.entries({ 'have-watchdog': 'false', ...properties }).map(
    ([name, value]) => `  <nvpair id="cib-bootstrap-options-${name}" name="${name}" value="${value}"/>`,
  );
  const text = `word drbd Primary\n<xpath-query>\n${lines.join('\n')}\n${more}</xpath-query>\n<pacemaker-result/>`;
  const read = parseReading(text, 'drbd3').guards;
  if (read === undefined) throw new Error('nothing was read');
  return read;
};
const NO_FENCING = { 'stonith-enabled': 'false', 'no-quorum-policy': 'ignore' };
const PING = '  <primitive id="ping" class="ocf" provider="pacemaker" type="ping"/>\n';
const FENCE = '  <primitive id="fence-dbk1" class="stonith" type="fence_ipmilan"/>\n';
const fencing = { agent: 'fence_ipmilan', options: { dbk1: { ip: '10.0.3.1' }, dbk2: { ip: '10.0.3.2' } } };
const qnetd = { qnetd: { host: 'c', address: '10.0.0.3' } };
const ping = { ping: ['10.0.0.254', '10.0.0.253'] };

test.each([
  ['nothing guards it', {}, NO_FENCING, ''],
  ['it pings', { arbitration: ping }, NO_FENCING, PING],
  ['a quorum device', { arbitration: qnetd }, { ...NO_FENCING, 'no-quorum-policy': 'stop' }, ''],
  ['its default for want of a quorum', { arbitration: qnetd }, { 'stonith-enabled': 'false' }, ''],
  ['fencing', { fencing }, { 'stonith-enabled': 'true' }, FENCE],
  ['fencing by somebody else', {}, { 'stonith-enabled': 'true' }, FENCE],
])('a pair that is guarded as the inventory has it: %s', (_, more, properties, rest) => {
  expect(guardProblems(settings(more), guards(properties, rest))).toEqual([]);
});

test.each([
  ['it does not ping', { arbitration: ping }, NO_FENCING, ''],
  ['it pings', {}, NO_FENCING, PING],
  [
    'a node without quorum goes on (no-quorum-policy=ignore)',
    { arbitration: qnetd },
    { 'stonith-enabled': 'false', 'no-quorum-policy': 'ignore' },
    '',
  ],
  ['it does not fence by fence_ipmilan', { fencing }, { 'stonith-enabled': 'true' }, ''],
  ['it does not fence by fence_ipmilan', { fencing }, NO_FENCING, FENCE],
  // Pacemaker's default is to fence.
  ['it wants to fence, and by nothing', {}, {}, ''],
])('one that is guarded otherwise: %s', (told, more, properties, rest) => {
  const [problem, ...others] = guardProblems(settings(more), guards(properties, rest));
  expect([problem?.code, others]).toEqual(['guarded-otherwise', []]);
  expect(problem?.message.split(': ')[1]).toBe(told);
});

test('constraints of a hand and of DRBD are told, others are not', () => {
  const rows = [
    'cli-ban-ClusterIP-on-dbk2',
    'drbd-fence-by-handler-drbd3-KaiwuData-clone',
    'location-fence-dbk1-dbk1',
  ];
  const more = rows.map((id) => `  <rsc_location id="${id}" rsc="x"/>\n`).join('');
  const told = guardProblems(settings({}), guards(NO_FENCING, more));
  expect(told.map(({ code }) => code)).toEqual(['pinned', 'drbd.fenced']);
});

test('fencing is told before what decides, also where somebody else has set it up', () => {
  const theirs = guards({ 'stonith-enabled': 'true' }, FENCE);
  expect(protectionWith(settings({}), theirs)).toMatch(
    /^fencing by fence_ipmilan, which .* not have; none: /,
  );
  expect(protectionWith(settings({}), guards(NO_FENCING, FENCE))).toMatch(/^none: /);
  expect([theirs, guards(NO_FENCING, FENCE)].map((one) => isUnguarded(settings({}), one))).toEqual([
    false,
    true,
  ]);
  expect(protectionWith(settings({ fencing }), theirs)).toBe(protectionOf(settings({ fencing })));
  expect(protectionOf(settings({ fencing }))).toMatch(/^fencing by fence_ipmilan: [^;]+$/);
  expect(protectionOf(settings({ fencing, arbitration: qnetd }))).toMatch(
    /^fencing by .*; quorum device on c: /,
  );
});

test('a device fences its own node, unless it is told otherwise', () => {
  const own = { dbk1: { ip: '10.0.3.1' }, dbk2: { ip: '10.0.3.2', pcmk_host_list: 'dbk2.example' } };
  const { fencing: read } = settings({ fencing: { agent: 'fence_ipmilan', options: own } });
  expect([read?.options['dbk1'], read?.options['dbk2']]).toEqual([
    { ip: '10.0.3.1', pcmk_host_list: 'dbk1' },
    { ip: '10.0.3.2', pcmk_host_list: 'dbk2.example' },
  ]);
  // What is parsed once more stays as it is.
  expect(settings({ fencing: read }).fencing).toEqual(read);
});
