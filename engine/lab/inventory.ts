import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stringify, type ScalarTag } from 'yaml';
import { keyOf, knownHostsOf } from './disk.ts';
import { addressOf, ARBITER, checkout, type Database, type LabState, type NodeState } from './state.ts';

const CONFIG_FILES: Readonly<Record<Database, string>> = {
  mariadb: '/etc/mysql/mariadb.conf.d/50-server.cnf',
  mysql: '/etc/mysql/mysql.conf.d/mysqld.cnf',
};

class Secret {
  readonly value: string;
  constructor(value: string) {
    this.value = value;
  }
}

const secretTag: ScalarTag = {
  tag: '!secret',
  identify: (value) => value instanceof Secret,
  resolve: (text) => new Secret(text),
  stringify: ({ value }) => JSON.stringify((value as Secret).value),
};

export const inventoryOf = (lab: string): string => join(checkout, 'inventories/lab', `${lab}.yml`);

/** Writes the inventory that playbooks use against this lab; `packages` is the folder of the product's stand-ins. */
export async function writeInventory(lab: LabState, packages: string): Promise<void> {
  await mkdir(dirname(lab.inventory), { recursive: true });
  const head = `# Written by \`drillbook lab up\` for lab ${lab.name}; removed by \`drillbook lab down\`.\n`;
  const text = stringify(inventory(lab, packages), {
    customTags: [secretTag],
    lineWidth: 110,
    aliasDuplicateObjects: false,
  });
  await writeFile(lab.inventory, head + text, { mode: 0o600 });
}

/** Puts the serial number of a replaced disk in the place of the one that no node has any more; passwords stay. */
export async function nameDisks({ inventory, nodes }: LabState): Promise<void> {
  const serials = nodes.flatMap(({ serial }) => serial ?? []);
  const text = await readFile(inventory, 'utf8').catch(() => '');
  const named = new Set(text.match(/(?<=\/ubd-)[0-9a-f]{8}/g));
  const old = [...named].find((one) => !serials.includes(one));
  const now = serials.find((one) => !named.has(one));
  if (old !== undefined && now !== undefined)
    await writeFile(inventory, text.replaceAll(old, now), { mode: 0o600 });
}

/** What presses the power button of a lab node, for playbooks that wait for it and drills that take its power. */
const power = (verb: 'on' | 'off', lab: string, node: string): string =>
  `'${process.execPath}' '${join(checkout, 'engine/cli/drillbook.js')}' lab power-${verb} ${node} --name ${lab}`;

type Each = <T>(value: (node: NodeState) => T) => Record<string, T>;

function inventory(lab: LabState, packages: string): Record<string, unknown> {
  const each: Each = (value) => Object.fromEntries(lab.nodes.map((node) => [node.name, value(node)]));
  return {
    vars: { [`${lab.stack}_packages`]: packages },
    connection: {
      user: 'root',
      identity_file: keyOf(lab.name),
      known_hosts: knownHostsOf(lab.name),
      connect_timeout: '10s',
    },
    hosts: each((node) => ({
      connection: { address: addressOf(lab, node, 'mgmt') },
      vars: {
        ...(lab.stack === 'dbackup' ? { server_id: 232 + 2 * node.number } : {}),
        ...(node.serial === undefined ? {} : { data_disk: `/dev/disk/by-id/ubd-${node.serial}` }),
        power_on_command: power('on', lab.name, node.name),
        power_off_command: power('off', lab.name, node.name),
      },
    })),
    ...(lab.stack === 'dbackup' ? dbackup(lab, each) : {}),
    ...(lab.stack === 'kwdb' || lab.stack === 'usphere' ? drbdPair(lab, lab.stack) : {}),
  };
}

/** What sets the stacks on DRBD and Pacemaker apart. */
const OF_STACK = {
  kwdb: {
    drbd: { resource: 'drbd3', device: '/dev/drbd3', port: 7789 },
    filesystem: { directory: '/var/lib/kwdb', type: 'ext4' },
    rest: { service: 'kaiwudb' },
    vars: {},
  },
  usphere: {
    drbd: { resource: 'r0', device: '/dev/drbd0', port: 7788 },
    filesystem: { directory: '/var/lib/mysql-share', type: 'ext4' },
    rest: {
      services: { database: 'mysql', web: 'tomcat' },
      expected: { hosts: 1, virtual_machines: 0 },
      database_gb: 0.2,
    },
    // Disks of the lab are small, and not called sdX.
    vars: { usphere_vms_min_gb: 0, usphere_vms_extra_gb: 0, usphere_system_disk: '^ubd[a-z]$' },
  },
} as const;

function drbdPair(lab: LabState, stack: keyof typeof OF_STACK): Record<string, unknown> {
  const { drbd, filesystem, rest, vars } = OF_STACK[stack];
  const pair = lab.nodes.filter(({ name }) => name !== ARBITER);
  const each: Each = (value) => Object.fromEntries(pair.map((node) => [node.name, value(node)]));
  const nodes = pair.map(({ name }) => name);
  if (nodes.length !== 2) return {};
  return {
    groups: { database: { hosts: nodes, ...(stack === 'usphere' ? { vars } : {}) } },
    clusters: {
      [lab.name]: {
        stack,
        nodes,
        settings: {
          drbd: {
            ...drbd,
            disks: each(({ serial }) => `/dev/disk/by-id/ubd-${serial ?? 'none'}`),
            addresses: each((node) => addressOf(lab, node, 'net2')),
            secret: new Secret(randomBytes(12).toString('base64url')),
          },
          filesystem,
          corosync: {
            links: (['net1', 'net2'] as const).map((link) => each((node) => addressOf(lab, node, link))),
            password: new Secret(randomBytes(12).toString('base64url')),
          },
          arbitration: arbitrationOf(lab, stack),
          ...rest,
          vip: { address: `${lab.subnets.net1}.100`, prefix: 24 },
        },
      },
    },
  };
}

/** A third node gives its vote; without one Usphere's pair pings two addresses, those of this machine. */
function arbitrationOf(lab: LabState, stack: keyof typeof OF_STACK): unknown {
  const arbiter = lab.nodes.find(({ name }) => name === ARBITER);
  if (arbiter) return { qnetd: { host: ARBITER, address: addressOf(lab, arbiter, 'mgmt') } };
  return stack === 'usphere' ? { ping: [`${lab.subnets.mgmt}.1`, `${lab.subnets.net1}.1`] } : 'none';
}

function dbackup(lab: LabState, each: Each): Record<string, unknown> {
  const nodes = lab.nodes.map((node) => node.name).filter((name) => name !== ARBITER);
  return {
    groups: { backup: { hosts: nodes } },
    clusters: {
      [lab.name]: {
        stack: 'dbackup',
        nodes,
        settings: {
          database: {
            flavour: lab.database,
            name: 'dbackup3',
            service: lab.database,
            socket: '/run/mysqld/mysqld.sock',
            port: 3306,
            config_file: CONFIG_FILES[lab.database],
            admin: { user: 'root' },
            replication: { user: 'repl', password: new Secret(randomBytes(12).toString('base64url')) },
            catalog: { user: 'dbackup', password: new Secret(randomBytes(12).toString('base64url')) },
          },
          heartbeats: (['net1', 'net2'] as const).map((link) => ({
            addresses: each((node) => addressOf(lab, node, link)),
            interval: '1s',
          })),
          vips: (['net1', 'net2'] as const).map((link, i) => ({
            address: `${lab.subnets[link]}.100`,
            prefix: 24,
            interfaces: each(() => `eth${i + 1}`),
          })),
        },
      },
    },
  };
}
