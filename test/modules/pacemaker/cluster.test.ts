import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../../engine/lab/lab.ts';
import { openPair } from '../../cluster/_pair.ts';
import type { Pair } from '../../cluster/_pair.ts';
import { isFull } from '../../_full.ts';
import { hostileOnNode } from '../_node-hostile.ts';
import { benchOn, pacemakerSettings } from '../_pair-hostile.ts';
import { freshLab } from '../../lab/_fresh.ts';

let lab: Lab;
let pair: Pair;
let state: string;

beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), 'pacemaker-'));
  lab = await freshLab({ name: 'test-pacemaker', stack: 'kwdb', database: 'mariadb', installed: true });
  pair = openPair(lab.inventory);
});
afterAll(async () => {
  await pair?.close();
  await lab?.down();
  await rm(state, { recursive: true, force: true });
}, 60_000);

const on = async (node: string, command: string): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command);
  if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
  return stdout.trim();
};
const dummy = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  agent: 'ocf:pacemaker:Dummy',
  ...more,
});
/** What Pacemaker is told to do, without what becomes of it. */
const configured = (): Promise<string> => on('dbk1', 'cibadmin -Q -o configuration');
const linesOf = (text: string): Set<string> => new Set(text.split('\n'));

/** As the runner does it; what is told of in check mode, and that alone, is changed. */
async function reach(module: string, params: Record<string, unknown> = {}): ReturnType<Pair['reach']> {
  const isInCib = !['pacemaker.auth', 'pacemaker.cluster'].includes(module);
  const before = isInCib ? await configured() : '';
  const told = (await pair.check('dbk1', module, params)).changes.map(({ what }) => what);
  if (isInCib) expect(await configured()).toBe(before);
  const changes = await pair.reach('dbk1', module, params);
  expect(changes.map(({ what }) => what)).toEqual(told);
  if (!isInCib) return changes;
  const after = await configured();
  expect([module, told.length > 0]).toEqual([module, before !== after]);
  // Where the same lines are in another order, any may have been meant.
  const differs = [...linesOf(before).symmetricDifference(linesOf(after))].join('\n') || after;
  for (const [, names = ''] of told.join('\n').matchAll(/^(?:resource|group|\w+ of) (.*)$/gm))
    for (const name of names.split(' and ').filter((one) => !/^dbk\d$/.test(one)))
      expect(differs).toContain(name);
  return changes;
}
const where = async (resource: string): Promise<(string | null)[]> => {
  const { result } = await pair.run('dbk1', 'pacemaker.status');
  const { instances } = result as { instances: { id: string; node: string | null }[] };
  return instances.filter(({ id }) => id === resource).map(({ node }) => node);
};

const hostile = pacemakerSettings(() => pair);

test('two nodes become a cluster, and a second time nothing changes', async () => {
  await expect(pair.run('dbk1', 'pacemaker.status')).rejects.toThrow('Pacemaker does not run on dbk1');
  await expect(pair.check('dbk1', 'pacemaker.property', { properties: { x: 1 } })).rejects.toThrow(
    'Pacemaker does not run on dbk1',
  );
  const changes = await reach('pacemaker.cluster');
  expect(changes.map(({ what }) => what)).toContain('key of corosync on dbk2');
  const { result } = await pair.run('dbk2', 'pacemaker.status');
  expect(result).toMatchObject({ has_quorum: true, nodes: [{ is_online: true }, { is_online: true }] });
  const keys = await Promise.all(['dbk1', 'dbk2'].map((node) => on(node, 'sha256sum /etc/corosync/authkey')));
  expect(new Set(keys).size).toBe(1);
  expect(await on('dbk1', 'stat -c %a /etc/corosync/authkey')).toBe('400');
}, 300_000);

test('a node that lost its configuration gets it from the other, whose resources go on', async () => {
  await reach('pacemaker.property', {
    properties: { 'stonith-enabled': false, 'no-quorum-policy': 'ignore' },
  });
  await reach('pacemaker.resource', dummy('stays'));
  await on(
    'dbk2',
    'systemctl stop pacemaker corosync; rm -f /etc/corosync/* /etc/pacemaker/authkey 2>&-; true',
  );
  const since = await on('dbk1', 'systemctl show -p ActiveEnterTimestampMonotonic pacemaker');
  await reach('pacemaker.cluster');
  expect(await on('dbk1', 'systemctl show -p ActiveEnterTimestampMonotonic pacemaker')).toBe(since);
  expect(await where('stays')).not.toEqual([null]);
}, 300_000);

test('a node of another cluster is refused, also where that one has no list of nodes', async () => {
  const config = await on('dbk2', 'cat /etc/corosync/corosync.conf');
  await on('dbk2', 'sed -i "s/cluster_name: .*/cluster_name: theirs/" /etc/corosync/corosync.conf');
  await expect(pair.check('dbk1', 'pacemaker.cluster')).rejects.toThrow(
    'dbk2 is in another cluster: theirs of dbk1, dbk2',
  );
  // One whose nodes find each other by multicast, and one that lost its configuration while it runs.
  await on('dbk2', 'sed -i "/^nodelist/,/^}/d" /etc/corosync/corosync.conf');
  const unlisted = 'theirs, which runs, and /etc/corosync/corosync.conf lists no nodes';
  await expect(pair.check('dbk1', 'pacemaker.cluster')).rejects.toThrow(unlisted);
  await on('dbk2', 'rm /etc/corosync/corosync.conf');
  await expect(pair.check('dbk1', 'pacemaker.cluster')).rejects.toThrow(
    'dbk2 is in another cluster: test-pacem',
  );
  const absent = pair.check('dbk1', 'pacemaker.cluster', { state: 'absent' });
  await expect(absent).rejects.toThrow('dbk2 is in another cluster');
  const put = await lab.ssh('dbk2', 'cat >/etc/corosync/corosync.conf', { stdin: `${config}\n` });
  expect(put.code).toBe(0);
  expect((await pair.check('dbk1', 'pacemaker.cluster')).changes).toEqual([]);
});

test('resources, groups and constraints are as described, each changed once', async () => {
  await reach('pacemaker.configuration', {
    resources: [dummy('one'), dummy('two', { operations: [{ name: 'monitor', interval: '5s' }] })],
    groups: [{ name: 'both', resources: ['one', 'two'] }],
    constraints: [{ location: { resource: 'both', node: 'dbk2', score: 100 } }],
  });
  expect([await where('one'), await where('two')]).toEqual([['dbk2'], ['dbk2']]);
  await reach('pacemaker.resource', dummy('three'));
  // What others have put beside it stays.
  const theirs = [
    '<utilization id="three-use"><nvpair id="three-cpu" name="cpu" value="1"/></utilization>',
    '<meta_attributes id="three-more" score="9"><rule id="three-rule" score="0"><expression id="three-expr" attribute="#uname" operation="eq" value="dbk9"/></rule><nvpair id="three-st" name="resource-stickiness" value="7"/></meta_attributes>',
  ];
  const put = `cibadmin --modify --allow-create --scope resources --xml-text '<primitive id="three">${theirs.join('')}</primitive>'`;
  await on('dbk1', put);
  await reach('pacemaker.resource', dummy('three', { meta: { 'migration-threshold': 3 } }));
  for (const id of ['three-cpu', 'three-expr', 'three-st'])
    expect(await configured()).toContain(`id="${id}"`);
  await reach('pacemaker.constraint', { colocation: { resource: 'three', with: 'both' } });
  await reach('pacemaker.constraint', { order: { first: 'both', then: 'three' } });
  await reach('pacemaker.group', { name: 'both', resources: ['two', 'one'] });
  await pair.run('dbk1', 'pacemaker.wait', { resource: 'three', node: 'dbk2' });
  expect(await on('dbk1', 'pcs resource config both')).toContain('two');
  await reach('pacemaker.resource', { name: 'three', state: 'absent' });
  expect(await on('dbk1', 'pcs constraint')).not.toContain('three');
  await expect(reach('pacemaker.resource', dummy('bad', { options: { stae: 'x' } }))).rejects.toThrow(
    'no option stae',
  );
  await expect(reach('pacemaker.resource', { name: 'bad', agent: 'systemd:nosuch' })).rejects.toThrow(
    'systemd:nosuch',
  );
  await expect(reach('pacemaker.constraint', {})).rejects.toThrow('one of `colocation`');
}, 300_000);

/** Fences nobody. `action` and `plug` are given by pacemaker-fenced. */
const FENCE_AGENT = `#!/bin/sh
while IFS='=' read -r name value; do [ "$name" != action ] || action=$value; done
[ "$action" = metadata ] || exit 0
cat <<'end'
<?xml version="1.0" ?>
<resource-agent name="fence_nobody" shortdesc="none">
<parameters>
<parameter name="action" unique="0" required="1"><content type="string" default="reboot"/></parameter>
<parameter name="ip" unique="0" required="1" obsoletes="ipaddr"><content type="string"/></parameter>
<parameter name="plug" unique="0" required="1" obsoletes="port"><content type="string"/></parameter>
</parameters>
<actions><action name="on" automatic="0"/><action name="off"/><action name="reboot"/><action name="monitor"/></actions>
</resource-agent>
end
`;

test('a fence device has the options of its agent, and those of every fence device', async () => {
  for (const node of ['dbk1', 'dbk2']) {
    const put = 'cat >/usr/sbin/fence_nobody; chmod 755 /usr/sbin/fence_nobody';
    await lab.ssh(node, put, { stdin: FENCE_AGENT });
  }
  const fencing = (options: Record<string, unknown>) => ({
    name: 'fence-dbk1',
    agent: 'stonith:fence_nobody',
    options: { ip: '10.0.0.1', ...options },
    operations: [{ name: 'monitor', interval: '60s' }],
  });
  await reach('pacemaker.resource', fencing({ pcmk_host_list: 'dbk1', pcmk_delay_base: '5s' }));
  expect(await on('dbk2', 'PATH=$PATH:/usr/sbin; stonith_admin --list dbk1')).toContain('fence-dbk1');
  expect(await configured()).not.toMatch(/name="(on|off|reboot)"/);
  const misspelled = pair.check('dbk1', 'pacemaker.resource', fencing({ pcmk_hosts: 'dbk1' }));
  await expect(misspelled).rejects.toThrow('stonith:fence_nobody has no option pcmk_hosts');
  await reach('pacemaker.resource', { name: 'fence-dbk1', state: 'absent' });
}, 300_000);

test('a node in standby runs nothing, and takes its resources again', async () => {
  await reach('pacemaker.node', { name: 'dbk2', standby: true });
  expect(await where('one')).toEqual(['dbk1']);
  const held = await pair.run('dbk1', 'pacemaker.wait', { resource: 'one', node: 'dbk2', wait: '2s' });
  expect(held.failed).toContain('one is Started on dbk1');
  await reach('pacemaker.node', { name: 'dbk2', standby: false });
  await pair.run('dbk1', 'pacemaker.wait', { resource: 'one', node: 'dbk2' });
  await reach('pacemaker.node', { name: 'dbk2', maintenance: true });
  await reach('pacemaker.node', { name: 'dbk2', maintenance: false });
  await expect(pair.check('dbk1', 'pacemaker.node', { name: 'dbk3' })).rejects.toThrow('no node dbk3');
}, 300_000);

test('a resource that fails is told, and tried again when its failures are forgotten', async () => {
  const unit = '[Service]\nExecStart=/bin/sleep infinity\nExecStartPre=/bin/false\n';
  for (const node of ['dbk1', 'dbk2']) {
    await lab.ssh(node, 'cat >/etc/systemd/system/fragile.service; systemctl daemon-reload', { stdin: unit });
  }
  const broken = { name: 'fragile', agent: 'systemd:fragile' };
  await expect(reach('pacemaker.resource', broken)).rejects.toThrow('fragile');
  expect((await pair.check('dbk1', 'pacemaker.resource', broken)).changes).toEqual([]);
  // What failed before is told no more as a failure of what comes after.
  for (const standby of [true, false]) await reach('pacemaker.node', { name: 'dbk2', standby });
  await reach('pacemaker.resource', { ...broken, meta: { 'resource-stickiness': 1 } });
  const { isChanged } = await pair.run('dbk1', 'pacemaker.cleanup');
  expect(isChanged).toBe(true);
  await reach('pacemaker.resource', { name: 'fragile', state: 'absent' });
  await pair.run('dbk1', 'pacemaker.cleanup');
  expect(await pair.run('dbk1', 'pacemaker.wait')).not.toHaveProperty('failed');
}, 300_000);

test('a configuration that someone changes at the same moment is not overwritten', async () => {
  const at = await pair.check('dbk1', 'pacemaker.property', { properties: { 'cluster-delay': '61s' } });
  expect(at.changes).toHaveLength(1);
  const { pushCib, readCib } = await import('../../../engine/modules/pacemaker/_cib.ts');
  const ctx = pair.ctx('dbk1');
  const cib = await readCib(ctx);
  await on('dbk2', 'PATH=$PATH:/usr/sbin; crm_attribute -t crm_config -n cluster-delay -v 62s');
  await expect(pushCib(ctx, cib, cib.configuration)).rejects.toThrow('changed by someone else');
  expect(await on('dbk1', 'PATH=$PATH:/usr/sbin; crm_attribute -t crm_config -n cluster-delay -G -q')).toBe(
    '62s',
  );
}, 300_000);

/** `command` happens on the node in the very moment before a change is given to Pacemaker, once. */
async function justBefore(command: string, work: () => Promise<unknown>): Promise<void> {
  const wrapper = `#!/bin/sh
case " $* " in
*' --patch '* | *' --replace '*) [ -e /root/before ] || { touch /root/before; (${command}) >&2; } ;;
esac
exec /usr/sbin/cibadmin "$@"
`;
  const path = '/usr/local/sbin/cibadmin';
  await lab.ssh('dbk1', `cat >${path}; chmod 755 ${path}; rm -f /root/before`, { stdin: wrapper });
  try {
    await work();
    await on('dbk1', 'ls /root/before');
  } finally {
    await on('dbk1', `rm -f ${path} /root/before`);
  }
}

test('a standby set in the very moment of a change is not undone, and what runs may change meanwhile', async () => {
  const property = (value: string) =>
    pair.reach('dbk1', 'pacemaker.property', { properties: { 'cluster-delay': value } });
  const standby = '/usr/sbin/crm_attribute --type nodes --node dbk2 --name standby --update';
  await justBefore(`${standby} on`, () => expect(property('63s')).rejects.toThrow('changed by someone else'));
  expect(await configured()).toContain('name="standby" value="on"');
  expect(await configured()).not.toContain('63s');
  await reach('pacemaker.node', { name: 'dbk2', standby: false });
  await justBefore('/usr/sbin/attrd_updater --name spare --update 1; sleep 1', () => property('63s'));
  expect(await configured()).toContain('63s');
}, 60_000);

test('all resources are to run', async () => {
  const stopAll = (value: boolean | null) =>
    reach('pacemaker.property', { properties: { 'stop-all-resources': value } });
  await stopAll(true);
  expect((await pair.run('dbk1', 'pacemaker.wait', { wait: '2s' })).failed).toContain('one runs nowhere');
  await stopAll(null);
  expect(await pair.run('dbk1', 'pacemaker.wait')).not.toHaveProperty('failed');
}, 120_000);

hostileOnNode(
  () => benchOn(pair, 'dbk1'),
  // pcs, waiting, and starting a resource take their time.
  isFull
    ? hostile
    : Object.fromEntries(
        Object.entries(hostile).filter(([name]) => !/auth|configuration|resource|wait/.test(name)),
      ),
);

// pcs takes its time, and the playbook that builds a pair makes them known as well.
test.runIf(isFull)(
  'pcs knows both nodes by the password of hacluster, which nobody sees',
  async () => {
    const nodes = Object.fromEntries(
      await Promise.all(
        ['dbk1', 'dbk2'].map(async (node) => [node, await on(node, "hostname -I | cut -d' ' -f1")]),
      ),
    ) as Record<string, string>;
    for (const node of ['dbk1', 'dbk2']) {
      await pair.reach(node, 'service', { name: 'pcsd', state: 'started' });
      await pair.reach(node, 'user_password', { user: 'hacluster', password: `it's "hidden" & #1` });
    }
    await expect(reach('pacemaker.auth', { nodes, password: 'wrong' })).rejects.toThrow(
      'pcs cannot make the nodes known',
    );
    await reach('pacemaker.auth', { nodes, password: `it's "hidden" & #1` });
    expect(await on('dbk1', 'pcs status pcsd')).toMatch(/dbk2: Online/);
  },
  180_000,
);

test('the cluster is stopped on both nodes, started, and gone', async () => {
  await reach('pacemaker.cluster', { state: 'stopped' });
  expect(await on('dbk2', 'systemctl is-active corosync || true')).toBe('inactive');
  await reach('pacemaker.cluster');
  await reach('pacemaker.cluster', { state: 'stopped' });
  const lost =
    "rm /etc/corosync/corosync.conf; sed -i 's/test-pacemaker/theirs/' /var/lib/pacemaker/cib/cib.xml";
  for (const node of ['dbk1', 'dbk2']) await on(node, `cp /etc/corosync/corosync.conf /root; ${lost}`);
  await expect(pair.check('dbk1', 'pacemaker.cluster')).rejects.toThrow('theirs, which has resources');
  for (const node of ['dbk1', 'dbk2']) await on(node, 'mv /root/corosync.conf /etc/corosync');
  await reach('pacemaker.cluster', { state: 'absent' });
  expect(await on('dbk2', 'ls /etc/corosync /var/lib/pacemaker/cib')).not.toContain('corosync.conf');
}, 180_000);
