import type {
  ClusterProblem,
  HeartbeatStatus,
  NodeStatus,
  ReplicationStatus,
  VipStatus,
} from '../core/cluster.ts';
import { hintOf } from '../modules/mysql/_replicate.ts';
import { faultOf } from '../modules/mysql/_server.ts';
import type { Errant } from './_dbackup-errant.ts';
import type { Settings } from './_dbackup-settings.ts';
import type { Seen } from './dbackup.ts';

interface Picture {
  readonly all: readonly Seen[];
  readonly nodes: readonly NodeStatus[];
  readonly replication: ReplicationStatus;
  readonly vips: readonly VipStatus[];
  readonly heartbeats: readonly HeartbeatStatus[];
  readonly settings: Settings;
  readonly errant: Errant | undefined;
}

type Look = (picture: Picture) => readonly ClusterProblem[];

const problem = (code: string, message: string, hint: string): ClusterProblem => ({ code, message, hint });

const isBuilt = ({ nodes }: Picture): boolean => nodes.some(({ role }) => role !== 'free');

const silent: Look = ({ all, heartbeats, settings }) =>
  all
    .filter(({ reading }) => reading === undefined)
    .map(({ name, silence }) => {
      const own = settings.heartbeats.map(({ addresses }) => addresses[name]);
      const isSeen = heartbeats.some(({ to, state }) => state === 'ok' && own.includes(to));
      return problem(
        'node-offline',
        `${name} cannot be asked: ${silence ?? 'no answer'}${isSeen ? '; its peer still reaches it' : ''}`,
        isSeen
          ? 'the way from here is cut, not the pair: look at the management network'
          : 'see that it is powered and its network is up',
      );
    });

const unbuilt: Look = (picture) =>
  isBuilt(picture) || picture.all.some(({ reading }) => reading === undefined)
    ? []
    : [problem('not-built', 'The nodes form no cluster', 'build it with the playbook cluster-build')];

const databases: Look = ({ all }) =>
  all
    .filter(({ reading }) => reading !== undefined && reading.database === undefined)
    .map(({ name, reading }) =>
      problem(
        'database-down',
        `The database of ${name} does not answer: ${reading?.databaseError ?? ''}`.trim(),
        'start its service and look at its error log',
      ),
    );

const replications: Look = ({ all, nodes }) =>
  all.flatMap(({ name, reading }) => {
    const role = nodes.find((node) => node.name === name)?.role;
    const database = reading?.database;
    if (database === undefined || role === 'free') return [];
    const isBack = role === 'primary';
    const isPeerOff = all.some((other) => other.name !== name && other.reading?.database === undefined);
    if (isBack && isPeerOff) return [];
    const code = isBack ? 'reverse-replication-broken' : 'replication-broken';
    if (database.replica === undefined)
      return [problem(code, `${name} does not replicate from its peer`, 'set it up again: playbook resync')];
    const fault = faultOf(database.replica);
    if (fault === undefined) return [];
    const hint = hintOf(database.replica) ?? 'resync copies everything from the primary (FAQ 2)';
    return [problem(code, `Replication from ${database.replica.host} to ${name} is broken: ${fault}`, hint)];
  });

const errants: Look = ({ errant }) =>
  errant === undefined
    ? []
    : [
        problem(
          'errant-transactions',
          `${errant.node}, the standby, has ${errant.count} transaction${errant.count === 1 ? '' : 's'} of its own that ${errant.peer} has not`,
          `${errant.peer} gets them once it replicates from ${errant.node} without delay; where they are not wanted, resync`,
        ),
      ];

/** Below this the standby is taken to be in step; a busy night's lag above it delays a switch. */
const LAG_SECONDS = 60;

const lag: Look = ({ replication: { lagSeconds } }) =>
  lagSeconds === null || lagSeconds < LAG_SECONDS
    ? []
    : [
        problem(
          'replication-lag',
          `The standby is ${lagSeconds} s behind`,
          'wait until it has caught up before switching',
        ),
      ];

const clones: Look = ({ all }) => {
  const [one, two] = all.map(({ reading }) => reading?.database);
  if (one === undefined || two === undefined) return [];
  const found: ClusterProblem[] = [];
  if (one.serverId === two.serverId)
    found.push(
      problem(
        'server-id-twice',
        `Both databases have server_id ${one.serverId}`,
        'give each node its own server_id and restart the database',
      ),
    );
  if (one.serverUuid !== '' && one.serverUuid === two.serverUuid)
    found.push(
      problem(
        'server-uuid-twice',
        `Both databases have server_uuid ${one.serverUuid}: the nodes are clones`,
        'remove auto.cnf in the data directory of one and restart its database',
      ),
    );
  return found;
};

const filters: Look = ({ all, settings }) =>
  all.flatMap(({ name, reading }) => {
    const databases = reading?.database?.replica?.databases;
    if (databases === undefined || databases.length === 0 || databases.includes(settings.database.name))
      return [];
    return [
      problem(
        'filter-wrong',
        `${name} replicates ${databases.join(', ')} alone, not ${settings.database.name}`,
        'mend replicate-do-db in its configuration file and restart the database',
      ),
    ];
  });

const vipHolders: Look = (picture) =>
  !isBuilt(picture)
    ? []
    : picture.vips.flatMap(({ address, holders }) => {
        if (holders.length > 1)
          return [
            problem(
              'vip-twice',
              `VIP ${address} is on ${holders.join(' and ')}`,
              'one node must give it up: demote the former primary',
            ),
          ];
        if (holders.length === 0 && picture.all.every(({ reading }) => reading !== undefined))
          return [
            problem(
              'vip-nowhere',
              `No node has VIP ${address}`,
              'start keepalived on the primary, and look at its journal',
            ),
          ];
        return [];
      });

const modes: Look = ({ nodes }) =>
  nodes.flatMap(({ name, role, witnesses }) => {
    const said = witnesses['hactl'] ?? '';
    if ((role === 'primary' || said.startsWith('primary')) && witnesses['read_only'] === 'on')
      return [
        problem(
          'read-only-primary',
          `The database of ${name}, the primary, is read-only`,
          'switch read_only off there, after making sure that the other node is not primary',
        ),
      ];
    if ((role === 'standby' || said.startsWith('standby')) && witnesses['read_only'] === 'off')
      return [
        problem(
          'writable-standby',
          `The database of ${name}, the standby, takes writes`,
          'set read_only on it (mysql.read_only): what is written there breaks replication',
        ),
      ];
    return [];
  });

const beats: Look = ({ heartbeats, settings }) => {
  const failed = heartbeats
    .filter(({ state }) => state === 'failed')
    .map(({ from, to }) =>
      problem(
        'heartbeat-failed',
        `No answer from ${to} to ${from}`,
        'mend the link; with no heartbeat left both nodes may become primary',
      ),
    );
  if (settings.heartbeats.length > 1) return failed;
  return [
    ...failed,
    problem(
      'single-heartbeat',
      'There is one heartbeat network only',
      'add a second one: when the only one fails, both nodes may become primary (FAQ 5)',
    ),
  ];
};

const keepaliveds: Look = ({ all, nodes }) =>
  all
    .filter(
      ({ name, reading }) =>
        reading?.isKeepalivedRunning === false &&
        ['primary', 'standby'].includes(nodes.find((node) => node.name === name)?.role ?? ''),
    )
    .map(({ name }) =>
      problem(
        'keepalived-down',
        `keepalived does not run on ${name}`,
        'without it there is no failover: start its service',
      ),
    );

const services: Look = ({ nodes }) =>
  nodes
    .filter(
      ({ role, services: units }) =>
        role === 'primary' &&
        units['dbackup3-backupd'] !== undefined &&
        units['dbackup3-backupd'] !== 'active',
    )
    .map(({ name }) =>
      problem(
        'backupd-down',
        `The backup management service does not run on ${name}, the primary`,
        'start dbackup3-backupd, or switch',
      ),
    );

const spoken: Look = ({ all }) =>
  all.flatMap(({ name, reading }) =>
    (reading?.hactl?.problems ?? []).map((text) =>
      problem('hactl', `hactl on ${name}: ${text}`, 'see `hactl status` there'),
    ),
  );

const LOOKS: readonly Look[] = [
  silent,
  unbuilt,
  databases,
  replications,
  errants,
  lag,
  clones,
  filters,
  vipHolders,
  modes,
  beats,
  keepaliveds,
  services,
  spoken,
];

/** Everything that is amiss with the pair, gravest first as far as one can say. */
export const dbackupProblems = (picture: Picture): readonly ClusterProblem[] =>
  LOOKS.flatMap((look) => look(picture));
