import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseReading } from '../../engine/cluster/_dbackup-read.ts';
import { foldReadings, settingsSchema } from '../../engine/cluster/dbackup.ts';
import { rolesOf } from '../../engine/cluster/model.ts';
import type { ClusterStatus } from '../../engine/core/cluster.ts';

// Read on running pairs of the lab; dbk2 was primary.
const recorded = (server: string, role: string): string =>
  readFileSync(new URL(`fixtures/${server}-${role}.txt`, import.meta.url), 'utf8');
const NETS = { 'mariadb-10.11': '10.201.5', 'mysql-9.7': '10.201.13' } as const;
const SECOND = { 'mariadb-10.11': '10.201.6', 'mysql-9.7': '10.201.14' } as const;
type Server = keyof typeof NETS;

interface Texts {
  /** The standby. */
  dbk1: string;
  /** The primary. */
  dbk2: string;
}

function fold(
  server: Server,
  change: (texts: Texts) => Partial<Record<keyof Texts, string | undefined>> = (t) => ({ ...t }),
  networks = 2,
): ClusterStatus {
  const nets = [NETS[server], SECOND[server]];
  const settings = settingsSchema.parse({
    heartbeats: nets
      .slice(0, networks)
      .map((net) => ({ addresses: { dbk1: `${net}.11`, dbk2: `${net}.12` } })),
    vips: nets.map((net, i) => ({
      address: `${net}.100`,
      interfaces: { dbk1: `eth${i + 1}`, dbk2: `eth${i + 1}` },
    })),
  });
  const texts = { dbk1: recorded(server, 'standby'), dbk2: recorded(server, 'primary') };
  const said = { ...texts, ...change(texts) };
  return foldReadings(
    { name: 'dbk', stack: 'dbackup', nodes: ['dbk1', 'dbk2'], settings: {} },
    settings,
    (['dbk1', 'dbk2'] as const).map((name) => {
      const text = said[name];
      return {
        name,
        address: name,
        reading: text === undefined ? undefined : parseReading(text),
        silence: text === undefined ? 'no route to host' : undefined,
      };
    }),
  );
}

const codes = ({ problems }: ClusterStatus): readonly string[] => [
  ...new Set(problems.map(({ code }) => code)),
];
const variable = (name: string, before: string, after: string) => (text: string) => {
  const changed = text.replace(
    `>${name}</field>\n\t<field name="Value">${before}<`,
    `>${name}</field>\n\t<field name="Value">${after}<`,
  );
  if (changed === text) throw new Error(`${name} is not ${before} in the fixture`);
  return changed;
};
const field = (name: RegExp, after: string) => (text: string) => {
  const changed = text.replace(new RegExp(`(<field name="${name.source}">)[^<]*<`), `$1${after}<`);
  if (changed === text) throw new Error(`${name.source} is not in the fixture`);
  return changed;
};
const replaced = (before: string | RegExp, after: string) => (text: string) => {
  const changed = text.replaceAll(before, after);
  if (changed === text) throw new Error(`${String(before)} is not in the fixture`);
  return changed;
};

test.each(['mariadb-10.11', 'mysql-9.7'] as const)(
  '%s: a running pair has its roles and no problem',
  (server) => {
    const status = fold(server);
    expect(status.problems).toEqual([]);
    expect(status.state).toBe('running');
    expect(rolesOf(status)).toEqual({ dbk1: 'standby', dbk2: 'primary' });
    expect(status.replication).toEqual({ kind: 'mysql', state: 'normal', lagSeconds: 0, percent: null });
    expect(status.vips.map(({ holders }) => holders)).toEqual([['dbk2'], ['dbk2']]);
    expect(status.heartbeats.map(({ state }) => state)).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(status.arbitration).toEqual({ failover: 'enabled' });
  },
);

const off = replaced('failover: enabled', 'failover: disabled');
const withVip = (text: string): string =>
  text.replace('@services', `3: eth1    inet ${NETS['mysql-9.7']}.100/24 scope global eth1\n@services`);
const noVips = replaced(/^\d+: eth\d +inet [\d.]+\.100\/.*\n/gm, '');
const stoppedBy = (text: string): string =>
  field(/Last_SQL_Errno/, '1062')(field(/Replica_SQL_Running/, 'No')(text));

test.each<
  [
    string,
    (texts: Texts) => Partial<Record<keyof Texts, string | undefined>>,
    string,
    string[],
    Record<string, string>,
  ]
>([
  [
    'failover is off',
    (t) => ({ dbk1: off(t.dbk1), dbk2: off(t.dbk2) }),
    'stopped',
    [],
    { dbk1: 'standby', dbk2: 'primary' },
  ],
  [
    'the standby is silent',
    () => ({ dbk1: undefined }),
    'error',
    ['node-offline'],
    { dbk1: 'unknown', dbk2: 'primary' },
  ],
  [
    'nobody answers',
    () => ({ dbk1: undefined, dbk2: undefined }),
    'unknown',
    ['node-offline'],
    { dbk1: 'unknown', dbk2: 'unknown' },
  ],
  [
    'replication broke',
    (t) => ({ dbk1: stoppedBy(t.dbk1) }),
    'degraded',
    ['replication-broken'],
    { dbk1: 'standby', dbk2: 'primary' },
  ],
  [
    'the way back broke',
    (t) => ({ dbk2: stoppedBy(t.dbk2) }),
    'degraded',
    ['reverse-replication-broken'],
    { dbk1: 'standby', dbk2: 'primary' },
  ],
  [
    'the standby takes writes',
    (t) => ({ dbk1: variable('read_only', 'ON', 'OFF')(t.dbk1) }),
    'degraded',
    ['roles-disagree', 'writable-standby'],
    { dbk1: 'unknown', dbk2: 'primary' },
  ],
  [
    'the primary is read-only',
    (t) => ({ dbk2: variable('read_only', 'OFF', 'ON')(t.dbk2) }),
    'unknown',
    ['roles-disagree', 'read-only-primary'],
    { dbk1: 'standby', dbk2: 'unknown' },
  ],
  [
    'a VIP is on both',
    (t) => ({ dbk1: withVip(t.dbk1) }),
    'error',
    ['roles-disagree', 'vip-twice'],
    { dbk1: 'unknown', dbk2: 'primary' },
  ],
  [
    'the VIPs are nowhere',
    (t) => ({ dbk2: noVips(t.dbk2) }),
    'error',
    ['vip-nowhere'],
    { dbk1: 'standby', dbk2: 'primary' },
  ],
  [
    'both are primary',
    (t) => ({ dbk1: t.dbk2 }),
    'error',
    ['two-primaries', 'server-id-twice', 'server-uuid-twice', 'vip-twice'],
    { dbk1: 'primary', dbk2: 'primary' },
  ],
  [
    'a heartbeat fails',
    (t) => ({ dbk1: replaced(`${NETS['mysql-9.7']}.12 ok`, `${NETS['mysql-9.7']}.12 failed`)(t.dbk1) }),
    'degraded',
    ['heartbeat-failed'],
    { dbk1: 'standby', dbk2: 'primary' },
  ],
  [
    'keepalived is down',
    (t) => ({ dbk1: replaced('@keepalived\nrunning', '@keepalived')(t.dbk1) }),
    'degraded',
    ['keepalived-down'],
    { dbk1: 'standby', dbk2: 'primary' },
  ],
  [
    'the filter has the misprint of the document',
    (t) => ({ dbk1: field(/Replicate_Do_DB/, 'dbbackup3')(t.dbk1) }),
    'degraded',
    ['filter-wrong'],
    { dbk1: 'standby', dbk2: 'primary' },
  ],
  [
    'the standby’s database is down',
    (t) => ({
      dbk1: t.dbk1.replace(
        /@variables[\s\S]*@error\n/,
        '@variables\n@error\nERROR 2002 (HY000): no socket\n',
      ),
    }),
    'degraded',
    ['database-down'],
    { dbk1: 'standby', dbk2: 'primary' },
  ],
])('%s', (_, change, state, problems, roles) => {
  const status = fold('mysql-9.7', change);
  expect(codes(status).toSorted()).toEqual(problems.toSorted());
  expect(status.state).toBe(state);
  expect(rolesOf(status)).toEqual(roles);
  for (const { message, hint } of status.problems) expect(message.length * hint.length).toBeGreaterThan(0);
});

test('one heartbeat network is warned of, and changes no state', () => {
  const status = fold('mariadb-10.11', undefined, 1);
  expect(codes(status)).toEqual(['single-heartbeat']);
  expect(status.state).toBe('running');
});

test('nodes that hactl knows no cluster of are free', () => {
  const gone = replaced(/@hactl\n[\s\S]*?exit: 0/g, '@hactl\nhactl: no cluster: ha.info not found\nexit: 1');
  const status = fold('mysql-9.7', (t) => ({ dbk1: gone(t.dbk1), dbk2: gone(t.dbk2) }));
  expect(rolesOf(status)).toEqual({ dbk1: 'free', dbk2: 'free' });
  expect(codes(status)).toEqual(['not-built']);
});
