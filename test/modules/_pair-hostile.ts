import { isTypable } from '../../engine/modules/_typable.ts';
import type { Pair } from '../cluster/_pair.ts';
import type { Bench } from './_context.ts';
import type { Settings } from './_settings.ts';

/** A node of a pair, to try modules on. */
export const benchOn = (pair: Pair, node: string): Bench => ({
  ctx: pair.ctx(node),
  dir: '/root',
  said: [],
  exchanges: () => 0,
  close: () => Promise.resolve(),
});

/** What needs a pair with the product installed and no cluster built: dbk2 is the replica. */
export function pairSettings(pair: () => Pair): Settings {
  const admin = async (user: string, password: string): Promise<void> => {
    const account = { user, password, grants: [{ on: '*.*', privileges: ['ALL'], grant_option: true }] };
    for (const node of ['dbk1', 'dbk2']) await pair().reach(node, 'mysql.account', account);
  };
  /** Whether the server has taken it; a longer line of an option file is cut off by the client. */
  const isTaken =
    (work: (text: string) => Promise<unknown>, canBe: (text: string) => boolean = () => true) =>
    (text: string) =>
      work(text).then(
        () => Buffer.byteLength(text) < 4000 && canBe(text),
        () => false,
      );
  const done = (_: unknown, __: string, text: string): Promise<unknown> => Promise.resolve(text);
  return {
    'dbackup.address': [{ params: { address: '127.0.0.1', restart: false } }],
    'dbackup.catalog': [
      {
        params: { user: 't-catalog', password: 'x' },
        only: ['password'],
        before: isTaken(
          (text) => admin('t-catalog', text),
          // The stand-in takes blanks off both ends.
          (text) => isTypable(text) && text.trim() === text,
        ),
        // backupd has logged in with it.
        arrived: { password: done },
      },
      { params: {} },
    ],
    'mysql.resync': [
      {
        params: { databases: ['x'] },
        only: ['databases.*'],
        before: isTaken(async (name) => {
          await pair().reach('dbk1', 'mysql.database', { name });
          const statement = 'CREATE TABLE IF NOT EXISTS one AS SELECT 1 AS one';
          await pair().run('dbk1', 'mysql.execute', { statement, database: name });
        }),
        arrived: {
          'databases.*': async (_, __, database) => {
            const query = 'SELECT one FROM one';
            const { result } = await pair().run('dbk2', 'mysql.query', { query, database });
            return result['value'] === 1 ? database : result['value'];
          },
        },
      },
      {
        params: { login: { user: 'x', password: 'y' } },
        only: ['login.user'],
        before: isTaken(
          (text) => admin(text, 'y'),
          // The server itself takes such quotes off a name.
          (text) => !/^'.*'$/s.test(text),
        ),
        // The copy has been loaded as this account.
        arrived: { 'login.user': done },
      },
      {
        params: { login: { user: 't-admin', password: 'x' } },
        only: ['login.password'],
        before: isTaken((text) => admin('t-admin', text)),
        arrived: { 'login.password': done },
      },
      { params: {} },
    ],
  };
}

/** What needs two plain nodes. */
export const systemSettings: Settings = {
  ssh_trust: [{ params: { hosts: ['dbk2'], names: { dbk2: ['dbk2'] } }, key: 'dbk2' }],
};

/** What needs DRBD, with a configuration that is whole. */
export const drbdSettings = (pair: () => Pair): Settings => ({
  'drbd.config': [
    {
      params: { src: 'drbd-global_common.conf.hbs', dest: '/root/names/x.conf' },
      wrap: { dest: (text) => `/root/names/${text}.conf` },
      arrived: {
        dest: async (_, __, text) => {
          const args = [`/root/names/${text}.conf`];
          return (await pair().ctx('dbk1').sh('[ -f "$1" ]', { args })).code === 0 ? text : 'another name';
        },
      },
    },
  ],
  'drbd.divergence': [{ params: { resource: 'none' } }],
  'drbd.initial_sync': [{ params: { resource: 'none' } }],
  'drbd.metadata': [{ params: { resource: 'none' } }],
  'drbd.resource': [{ params: { name: 'none', wait: '1s' } }],
  'drbd.split_brain': [
    { params: { resource: 'none' }, only: ['resource'] },
    {
      params: { resource: 'drbd3', victim: 'dbk2', at_most: '1 B', save_to: '/root/names', wait: '1s' },
      wrap: { save_to: (text) => `/root/names/${text}` },
    },
  ],
});

/** What needs a cluster of Pacemaker that runs. */
export function pacemakerSettings(pair: () => Pair): Settings {
  const said = async (script: string, name: string): Promise<string> =>
    (
      await pair()
        .ctx('dbk1')
        .sh(script, { args: [name] })
    ).stdout.replace(/\n$/, '');
  const attribute = (set: string, name: string): Promise<string> =>
    said(`crm_attribute --type "${set}" --name "$1" --query --quiet`, name);
  const option = (name: string): Promise<string> =>
    said('crm_resource --resource hostile --get-parameter "$1"', name);
  const meta = (name: string): Promise<string> =>
    said('crm_resource --resource hostile --meta --get-parameter "$1"', name);
  const dummy = { name: 'hostile', agent: 'ocf:pacemaker:Dummy' };
  const resource = { ...dummy, options: { fake: 'x' }, meta: { spare: 'x' } };
  const operations = [{ name: 'monitor', interval: '10s', timeout: '20s' }];
  const together = { resource: 'hostile', with: 'nobody' };
  const byNode = { resource: 'hostile', node: 'dbk1' };
  const byAttribute = { resource: 'hostile', attribute: 'spare', minimum: 1 };
  return {
    'pacemaker.auth': [{ params: { nodes: { none: '127.0.0.9' }, username: 'nobody', password: 'x' } }],
    'pacemaker.cleanup': [{ params: { resource: 'none', node: 'dbk1', wait: '1s' } }],
    'pacemaker.cluster': [{ params: { src: 'none.hbs', wait: '1s' } }],
    'pacemaker.configuration': [
      {
        params: { resources: [{ ...resource, operations, clone: { spare: 'x' } }], wait: 0 },
        only: ['resources.*.clone.key'],
      },
      {
        params: { resources: [{ ...resource, operations, promotable: { spare: 'x' } }], wait: 0 },
        only: ['resources.*.promotable.key'],
      },
      ...[
        { colocation: together },
        { order: { first: 'hostile', then: 'nobody' } },
        { location: byNode },
      ].map((one) => ({
        params: { constraints: [one], wait: 0 },
        only: Object.entries(one).flatMap(([kind, base]) =>
          [...Object.keys(base), 'with_role', 'first_action', 'then_action', 'kind']
            .filter((name) => (kind === 'order') === /first|then|kind/.test(name))
            .filter((name) => kind !== 'location' || name !== 'with_role')
            .map((name) => `constraints.*.${kind}.${name}`),
        ),
      })),
      {
        params: { constraints: [{ location: byAttribute }], wait: 0 },
        only: ['constraints.*.location.attribute', 'constraints.*.location.role'],
      },
      {
        params: {
          ...{
            properties: { spare: 'x' },
            resource_defaults: { spare: 'x' },
            operation_defaults: { spare: 'x' },
          },
          ...{ resources: [{ ...resource, operations }], wait: 0 },
          groups: [{ name: 'hostiles', resources: ['hostile'] }],
        },
        key: 'spare',
        arrived: {
          'properties.key': () => attribute('crm_config', 'spare'),
          'resource_defaults.key': () => attribute('rsc_defaults', 'spare'),
          'operation_defaults.key': () => attribute('op_defaults', 'spare'),
          'resources.*.meta.key': () => meta('spare'),
        },
      },
    ],
    'pacemaker.constraint': [
      {
        params: { colocation: together, wait: 0 },
        only: ['colocation.resource', 'colocation.with', 'colocation.with_role'],
      },
      {
        params: { order: { first: 'hostile', then: 'nobody' }, wait: 0 },
        only: ['order.first', 'order.first_action', 'order.then', 'order.then_action', 'order.kind'],
      },
      { params: { location: byNode, wait: 0 }, only: ['location.resource', 'location.node'] },
      { params: { location: byAttribute, wait: 0 } },
    ],
    'pacemaker.group': [{ params: { name: 'hostiles', resources: ['hostile'], wait: 0 } }],
    'pacemaker.node': [{ params: { name: 'none', wait: 0 } }],
    'pacemaker.property': [
      {
        params: { properties: { spare: 'x' }, wait: 0 },
        key: 'spare',
        arrived: { 'properties.key': () => attribute('crm_config', 'spare') },
      },
    ],
    'pacemaker.quorum_device': [{ params: { host: 'none', wait: '1s' } }],
    'pacemaker.resource': [
      { params: { ...resource, clone: { spare: 'x' }, wait: 0 }, only: ['clone.key'] },
      { params: { ...resource, promotable: { spare: 'x' }, wait: 0 }, only: ['promotable.key'] },
      {
        params: { ...resource, wait: 0 },
        key: 'fake',
        only: ['options.key'],
        arrived: { 'options.key': () => option('fake') },
      },
      {
        params: { ...resource, operations, wait: 0 },
        key: 'spare',
        arrived: { 'meta.key': () => meta('spare') },
      },
    ],
    'pacemaker.status': [{ params: {} }],
    'pacemaker.wait': [{ params: { resource: 'none', node: 'dbk1', wait: '1ms' } }],
  };
}

/** What needs a disk that may be written over. */
export const diskSettings = (disk: () => string, on: (command: string) => Promise<string>): Settings => ({
  filesystem: [
    {
      // Known once the lab is there.
      get params() {
        return { device: disk(), label: 'x' };
      },
      only: ['label'],
      async before(text) {
        const fits = text !== '' && Buffer.byteLength(text) <= 12 && !/[^ -~]/.test(text);
        if (fits) await on(`wipefs -aq ${disk()}; dd if=/dev/zero of=${disk()} bs=1M count=1 status=none`);
        return fits;
      },
      arrived: { label: () => on(`blkid -p -s LABEL -o value ${disk()}`) },
    },
    { params: { device: '/dev/none' }, wrap: { device: (text) => `/dev/${text}` } },
  ],
});
