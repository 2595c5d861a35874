import { describe, expect, test } from 'vitest';
import type { Change, Result } from '../../engine/core/module.ts';
import { check, reach } from './_context.ts';
import type { Bench } from './_context.ts';
import { differences, expectUntouched } from './_truth.ts';
import type { Snapshot } from './_truth.ts';

interface Situation {
  readonly of: string;
  /** Shell text that makes it. */
  readonly when?: string;
  /** A function where they are known only once the lab is there. */
  readonly params: Result | (() => Result);
  readonly cannot?: string;
}

export interface Kind {
  readonly situations: readonly Situation[];
  /** Shell text that prints `THING\tFIELD\tVALUE` lines of all that may change. */
  readonly look: string;
  /** `THING FIELD` of a change that was told. */
  readonly told: (change: Change) => string;
}

const UNITS = `for unit in t-one t-static t-masked t-gone cron systemd-timesyncd; do
  systemctl show -p ActiveState,LoadState,UnitFileState,MainPID,StateChangeTimestampMonotonic "$unit" | while IFS== read -r key value; do printf '%s\\t%s\\t%s\\n' "$unit" "$key" "$value"; done
done
find /etc/systemd /run/systemd/system /etc/rc*.d -printf '%p\\tmtime\\t%T@\\n'`;

const unit = (name: string, text: string): string =>
  `systemctl stop ${name} 2>/dev/null; systemctl unmask -q ${name}; printf '${text}' >/etc/systemd/system/${name}.service; systemctl daemon-reload; systemctl disable -q ${name} 2>/dev/null;`;
const ONE = unit(
  't-one',
  '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n',
);
const STATIC = unit('t-static', '[Service]\\nExecStart=/bin/sleep infinity\\n');

const service: Kind = {
  look: UNITS,
  told: ({ what }) => {
    const [, name = '', rest = ''] = /^service (\S+)(.*)$/.exec(what) ?? [];
    return `${name} ${rest === ' at boot' ? 'UnitFileState' : rest === ' masked' ? 'LoadState' : 'ActiveState'}`;
  },
  situations: [
    {
      of: 'stopped, to be started and enabled',
      when: ONE,
      params: { name: 't-one', state: 'started', enabled: true },
    },
    {
      of: 'as wanted',
      when: `${ONE} systemctl enable -q --now t-one`,
      params: { name: 't-one', state: 'started', enabled: true },
    },
    {
      of: 'running, to be stopped and disabled',
      when: `${ONE} systemctl enable -q --now t-one`,
      params: { name: 't-one', state: 'stopped', enabled: false },
    },
    {
      of: 'to be masked',
      when: ONE,
      params: { name: 't-masked', masked: true },
      cannot: 'there is no service',
    },
    { of: 'a static one, disabled', when: STATIC, params: { name: 't-static', enabled: false } },
    {
      of: 'a static one, enabled and started',
      when: STATIC,
      params: { name: 't-static', enabled: true, state: 'started' },
    },
    {
      of: 'masked, to be started',
      when: `${ONE} rm /etc/systemd/system/t-one.service; systemctl mask -q t-one`,
      params: { name: 't-one', state: 'started' },
      cannot: 'is masked',
    },
    {
      of: 'masked, to be stopped',
      when: 'systemctl mask -q t-one',
      params: { name: 't-one', state: 'stopped' },
    },
    {
      of: 'not there, to be started',
      params: { name: 't-gone', state: 'restarted' },
      cannot: 'there is no service',
    },
    { of: 'not there, to be stopped', params: { name: 't-gone', state: 'stopped', enabled: false } },
  ],
};

const PACKAGES = `dpkg-query -W -f '\${Package}\\tversion\\t\${db:Status-Status} \${Version}\\n' | grep -E '^(alpha|beta|rival|cron)'
for file in /var/lib/dpkg/status /var/lib/apt/extended_states; do printf '%s\\tmtime\\t%s\\n' "$file" "$(stat -c %y "$file" 2>/dev/null)"; done
find /var/tmp /tmp -maxdepth 1 -name 'drillbook*' -printf '%p\\tmtime\\t%T@\\n'`;
const GONE = 'dpkg --purge alpha beta rival >/dev/null 2>&1;';

const packages: Kind = {
  look: PACKAGES,
  told: ({ what, before, after }) =>
    `${what.slice('package '.length)} ${before === 'absent' ? 'made' : after === 'absent' ? 'gone' : 'version'}`,
  situations: [
    {
      of: 'files, nothing installed',
      when: GONE,
      params: { files: ['alpha_1.0-2_all.deb', 'beta_1_all.deb'] },
    },
    { of: 'files, as installed', params: { files: 'alpha_1.0-2_all.deb' } },
    {
      of: 'an older one to install',
      params: { files: 'alpha_1.0-1_all.deb' },
      cannot: 'this would be a downgrade',
    },
    {
      of: 'an older one, allowed',
      when: 'dpkg --purge beta >/dev/null',
      params: { files: 'alpha_1.0-1_all.deb', allow_downgrade: true },
    },
    { of: 'a newer one to install', params: { files: 'alpha_1.0-2_all.deb' } },
    { of: 'to be purged', params: { name: ['alpha', 'beta', 'not-there'], state: 'absent', purge: true } },
    { of: 'as wanted', params: { name: 'cron' } },
    {
      of: 'none the repositories have',
      params: { name: ['cron', 'no-such-package'] },
      cannot: 'have no package no-such-package',
    },
  ],
};

const SQL = `sql() { mariadb -N --raw -e "$1"; }
sql "SELECT CONCAT(user, '@', host, '\\tproof\\t', plugin, SHA1(authentication_string)) FROM mysql.user WHERE user LIKE 't%'"
sql "SELECT CONCAT(user, '@', host) FROM mysql.user WHERE user LIKE 't%'" | while IFS= read -r name; do
  sql "SHOW GRANTS FOR '\${name%@*}'@'\${name#*@}'" | sed 's/ IDENTIFIED .*//' | while IFS= read -r grant; do printf '%s\\tgrants %s\\tyes\\n' "$name" "$(echo "$grant" | sed 's/.* ON \\(.*\\) TO .*/\\1/; s/\`//g'): $grant"; done; done
sql "SELECT CONCAT(schema_name, '\\tcharset\\t', default_character_set_name, ' ', default_collation_name) FROM information_schema.schemata WHERE schema_name LIKE 't%'"
sql 'SHOW GLOBAL VARIABLES' | grep -E '^(max_connections|sync_binlog|read_only|innodb_flush_log_at_trx_commit|event_scheduler|slow_query_log|rpl_semi_sync_[a-z_]*)	' | sed 's/	/	value	/'
sql 'SHOW MASTER STATUS' | sed 's/^\\([^	]*\\)	\\(.*\\)/binlog	mtime	\\1 \\2/'
sql 'SHOW SLAVE STATUS' | tr '	' ' ' | cut -c1-120 | sed 's/^/replication	source	/'`;

const sqlTold = ({ what, before, after }: Change): string => {
  const [, account = ''] = /'([^']*'@'[^']*)'/.exec(what) ?? [];
  const name = account.replace("'@'", '@');
  if (what.startsWith('account ')) return `${name} ${after === 'absent' ? 'gone' : 'made'}`;
  if (/^(password|authentication) of/.test(what)) return `${name} proof`;
  if (what.startsWith('grants of')) return `${name} grants`;
  if (what.startsWith('variable ')) return `${what.slice('variable '.length)} value`;
  if (what === 'read_only') return 'read_only value';
  if (what.startsWith('replication ')) return 'replication made';
  const [, database = ''] = /database (\w+)$/.exec(what) ?? [];
  return `${database} ${before === 'absent' ? 'made' : after === 'absent' ? 'gone' : 'charset'}`;
};

const mysql = (situations: readonly Situation[]): Kind => ({ look: SQL, told: sqlTold, situations });
const drop = `mariadb -e "DROP USER IF EXISTS t1@localhost; DROP DATABASE IF EXISTS t1;`;

const ACCOUNTS = `while IFS=: read -r name _ uid gid comment home shell; do
  printf 'user %s\\tuid\\t%s\\n' "$name" "$uid"
  printf 'user %s\\tgroup\\t%s\\nuser %s\\tgroups\\t%s\\n' "$name" "$gid" "$name" "$(grep -E "[:,]$name(,|$)" /etc/group | cut -d: -f1 | tr '\\n' ,)"
  printf 'user %s\\tcomment\\t%s\\nuser %s\\tshell\\t%s\\nuser %s\\thome\\t%s\\n' "$name" "$comment" "$name" "$shell" "$name" "$home"
done </etc/passwd
while IFS=: read -r name _ gid _; do printf 'group %s\\tgid\\t%s\\n' "$name" "$gid"; done </etc/group
for file in /etc/passwd /etc/group /etc/shadow; do printf '%s\\tmtime\\t%s\\n' "$file" "$(stat -c %y "$file")"; done`;
const TMPFS = { path: '/srv/a/b', src: 'tmpfs', fstype: 'tmpfs' };

export type Kinds = Readonly<Record<string, Kind>>;

export const nodeKinds: Kinds = {
  service,
  package: packages,
  'mysql.account': mysql([
    {
      of: 'absent',
      when: `${drop}"`,
      params: { user: 't1', password: 'x', grants: [{ on: '*.*', privileges: ['PROCESS'] }] },
    },
    {
      of: 'as wanted',
      params: { user: 't1', password: 'x', grants: [{ on: '*.*', privileges: ['PROCESS'] }] },
    },
    { of: 'another password', params: { user: 't1', password: 'y' } },
    {
      of: 'grants missing',
      params: { user: 't1', grants: [{ on: 'd.*', privileges: ['SELECT', 'INSERT'] }] },
    },
    {
      of: 'grants too many',
      params: { user: 't1', exact: true, grants: [{ on: '*.*', privileges: ['PROCESS'] }] },
    },
    {
      of: 'a plugin nobody has',
      params: { user: 't1', plugin: 'no_such_plugin' },
      cannot: 'has no plugin no_such_plugin',
    },
    { of: 'to go', params: { user: 't1', state: 'absent' } },
    { of: 'gone', params: { user: 't1', state: 'absent' } },
  ]),
  'mysql.database': mysql([
    { of: 'absent', when: `${drop}"`, params: { name: 't1', charset: 'utf8mb4' } },
    { of: 'as wanted', params: { name: 't1', charset: 'utf8mb4' } },
    { of: 'another character set', params: { name: 't1', charset: 'latin1' } },
    {
      of: 'a character set nobody has',
      params: { name: 't1', charset: 'nosuch' },
      cannot: 'has no character set nosuch',
    },
    { of: 'to go', params: { name: 't1', state: 'absent' } },
    { of: 'gone', params: { name: 't1', state: 'absent' } },
  ]),
  'mysql.variables': mysql([
    {
      of: 'other values',
      when: 'mariadb -e "SET GLOBAL max_connections = 151, GLOBAL sync_binlog = 0"',
      params: { variables: { max_connections: 99, sync_binlog: 'on' } },
    },
    { of: 'as wanted', params: { variables: { max_connections: '99', sync_binlog: 1 } } },
    {
      of: 'one that is not there',
      params: { variables: { no_such_variable: 1 } },
      cannot: 'has no variable',
    },
    { of: 'one that cannot be set', params: { variables: { version: 'x' } }, cannot: 'cannot be set' },
  ]),
  'mysql.read_only': mysql([
    { of: 'open', when: 'mariadb -e "SET GLOBAL read_only = 0"', params: { state: 'on' } },
    { of: 'closed already', params: { state: 'on' } },
    { of: 'to open', params: { state: 'off' } },
  ]),
  'mysql.semi_sync': mysql([
    { of: 'off', params: { state: 'on', timeout: '3s' } },
    { of: 'on', params: { state: 'on', timeout: '3s' } },
    { of: 'another time', params: { state: 'on', timeout: '4s' } },
    { of: 'to go', params: { state: 'off' } },
    { of: 'gone', params: { state: 'off' } },
  ]),
  'mysql.replication': mysql([
    { of: 'none, and none wanted', params: { state: 'absent' } },
    { of: 'none to stop', params: { state: 'stopped' } },
    { of: 'none to catch up', params: { state: 'caught_up' }, cannot: 'is no replica' },
  ]),
  user_password: {
    look: `while IFS=: read -r name hash _; do printf '%s\\tpassword\\t%s\\n' "$name" "$hash"; done </etc/shadow
for file in /etc/passwd /etc/shadow; do printf '%s\\tmtime\\t%s\\n' "$file" "$(stat -c %y "$file")"; done`,
    told: ({ what }) => `${what.slice('password of '.length)} password`,
    situations: [
      { of: 'none', params: { user: 'games', password: 'x&y' } },
      { of: 'as wanted', params: { user: 'games', password: 'x&y' } },
      { of: 'another', params: { user: 'games', password: 'x' } },
      { of: 'locked', when: 'usermod -L games', params: { user: 'games', password: 'x' } },
      { of: 'nobody', params: { user: 'no-such', password: 'x' }, cannot: 'has no user no-such' },
    ],
  },
  mount: {
    look: `findmnt -n -r -o TARGET,SOURCE,VFS-OPTIONS | grep '^/srv' | while read -r path source options; do printf 'mount %s\\tsource\\t%s\\nmount %s\\toptions\\t%s\\n' "$path" "$source" "$path" "$options"; done
printf '/etc/fstab\\tcontent\\t%s\\n/etc/fstab\\tmtime\\t%s\\n' "$(sha256sum </etc/fstab)" "$(stat -c %y /etc/fstab)"
find /srv -xdev -type d -printf '%p\\tkind\\tdirectory\\n'`,
    told: ({ what, before }) => {
      const [, about = '', path = ''] = /^(mount at|options of|content of) (.*)$/.exec(what) ?? [];
      if (about === 'mount at') return `mount ${path} ${before === 'none' ? 'made' : 'gone'}`;
      if (about === 'options of') return `mount ${path} options`;
      return about === '' ? `${what} made` : `${path} content`;
    },
    situations: [
      { of: 'nothing', params: { ...TMPFS, state: 'mounted' } },
      { of: 'as wanted', params: { ...TMPFS, state: 'mounted' } },
      { of: 'other options', params: { ...TMPFS, state: 'mounted', opts: 'nodev,noexec' } },
      { of: 'only mounted', when: 'echo >/etc/fstab', params: { ...TMPFS, state: 'present' } },
      { of: 'mounted and in fstab', params: { path: '/srv/a/b', state: 'unmounted' } },
      { of: 'only in fstab', params: { path: '/srv/a/b', state: 'absent' } },
      { of: 'only wanted now', params: { ...TMPFS, state: 'ephemeral' } },
      {
        of: 'something in the way',
        when: 'umount /srv/a/b; touch /srv/a/b/x',
        params: { ...TMPFS, state: 'mounted' },
        cannot: 'is not empty',
      },
    ],
  },
  group: {
    look: ACCOUNTS,
    told: ({ what, before }) =>
      what.startsWith('gid of ')
        ? `${what.slice('gid of '.length)} gid`
        : `${what} ${before === 'absent' ? 'made' : 'gone'}`,
    situations: [
      { of: 'nothing', params: { name: 't-one', gid: 1500 } },
      { of: 'as wanted', params: { name: 't-one', gid: 1500 } },
      { of: 'another number', params: { name: 't-one', gid: 1501 } },
      {
        of: 'a number that is taken',
        params: { name: 't-two', gid: 1501 },
        cannot: 'belongs to group t-one',
      },
      { of: 'to go', params: { name: 't-one', state: 'absent' } },
    ],
  },
  user: {
    look: ACCOUNTS,
    told: ({ what, before }) => {
      const [, field, name = ''] = /^(\w+) of (user .*)$/.exec(what) ?? [];
      return field === undefined ? `${what} ${before === 'absent' ? 'made' : 'gone'}` : `${name} ${field}`;
    },
    situations: [
      { of: 'nothing', params: { name: 't-user', group: 'users', groups: ['adm'] } },
      { of: 'as wanted', params: { name: 't-user', groups: 'adm' } },
      { of: 'more groups', params: { name: 't-user', groups: ['audio'], append: true } },
      { of: 'other groups and shell', params: { name: 't-user', groups: [], shell: '/bin/sh' } },
      { of: 'another number', params: { name: 't-user', uid: 1600, group: 'adm', comment: 'x' } },
      { of: 'no such group', params: { name: 't-user', group: 'no-such' }, cannot: 'has no group' },
      { of: 'to go', params: { name: 't-user', state: 'absent' } },
    ],
  },
  sysctl: {
    look: `for file in /etc/sysctl.d/*; do printf '%s\\tcontent\\t%s\\n%s\\tmtime\\t%s\\n' "$file" "$(sha256sum <"$file")" "$file" "$(stat -c %y "$file")"; done`,
    told: ({ what, before }) =>
      `${what.slice('content of '.length)} ${before === undefined ? 'made' : 'content'}`,
    situations: [
      { of: 'nothing', params: { name: 'vm.swappiness', value: 1, sysctl_set: false } },
      { of: 'as wanted', params: { name: 'vm/swappiness', value: '1', sysctl_set: false } },
      {
        of: 'twice',
        when: 'echo vm.swappiness=2 >>/etc/sysctl.d/90-drillbook.conf',
        params: { name: 'vm.swappiness', value: '2', sysctl_set: false },
      },
      {
        of: 'a kernel that is not its own',
        params: { name: 'vm.swappiness', value: 61 },
        cannot: 'vm.swappiness cannot be set on dbk1',
      },
      { of: 'to go', params: { name: 'vm.swappiness', state: 'absent' } },
    ],
  },
  time_sync: {
    look: `${UNITS}; for file in /etc/systemd/timesyncd.conf; do printf '%s\\tcontent\\t%s\\n%s\\tmtime\\t%s\\n' "$file" "$(sha256sum <"$file")" "$file" "$(stat -c %y "$file")"; done`,
    told: ({ what }) =>
      what.startsWith('content of ')
        ? `${what.slice('content of '.length)} content`
        : service.told({ what: what.replace('.service', '') }),
    situations: [
      { of: 'other servers', params: { servers: ['10.1.1.1'] } },
      { of: 'as wanted', params: { servers: ['10.1.1.1'] } },
      {
        of: 'disabled',
        when: 'systemctl disable -q --now systemd-timesyncd',
        params: { servers: ['10.1.1.1'] },
      },
      { of: 'one that is not installed', params: { provider: 'chrony' }, cannot: 'is not installed' },
    ],
  },
  'keepalived.config': {
    look: `for file in $(ls -d /etc/keepalived/* /etc/keepalived 2>/dev/null); do [ -f "$file" ] && printf '%s\\tcontent\\t%s\\n' "$file" "$(sha256sum <"$file")"; printf '%s\\tmtime\\t%s\\n' "$file" "$(stat -c %y "$file")"; done`,
    told: ({ what }) => `${what} made`,
    situations: [
      { of: 'absent', when: 'rm -f /etc/keepalived/*', params: { src: 'k.hbs' } },
      { of: 'as wanted', params: { src: 'k.hbs' } },
    ],
  },
};

/** What each kind of state told in check mode, and what then became different on the node. */
export function truthOnNode(bench: () => Bench, kinds: Kinds): void {
  const look = async ({ look: script }: Kind): Promise<Snapshot> => {
    const seen = new Map<string, Record<string, string>>();
    for (const line of (await bench().ctx.sh(script)).stdout.split('\n')) {
      const [thing = '', field = '', value = ''] = line.split('\t');
      if (thing !== '') seen.set(thing, { ...seen.get(thing), [field]: value });
    }
    return seen;
  };
  // What follows from what is told: a service has another process then, a folder another time.
  const FOLLOWS = /(MainPID|StateChangeTimestampMonotonic)$/;
  describe.each(Object.entries(kinds))('%s in check mode tells what it then changes', (name, kind) => {
    test.each(kind.situations.map((one) => [one.of, one] as const))(
      '%s',
      async (_, { when, params: given, cannot }) => {
        const params: Result = typeof given === 'function' ? given() : given;
        if (when !== undefined) await bench().ctx.sh(when);
        const before = await look(kind);
        const found = await check(bench(), name, params).catch((error: Error) => error);
        expectUntouched(before, await look(kind));
        if (found instanceof Error) {
          expect(found.message).toContain(cannot ?? 'nothing that stops it');
          return;
        }
        expect(cannot, 'it told of no hindrance').toBeUndefined();
        await reach(bench(), name, params);
        const changed = [...differences(before, await look(kind))].flatMap(([thing, fields]) =>
          [...fields].map((field) => `${thing} ${field.replace(/^grants .*/, 'grants')}`),
        );
        const real = new Set(
          changed.filter(
            (one) =>
              !FOLLOWS.test(one) &&
              !one.endsWith('~ made') &&
              !/^\/(etc|run)\/(systemd|rc)\S* (made|gone)$/.test(one),
          ),
        );
        expect([...real].sort()).toEqual(
          [...new Set(found.changes.map(kind.told))]
            .filter((one) => real.has(one) || !isPartOfMade(one, real))
            .sort(),
        );
        expect((await check(bench(), name, params)).changes).toEqual([]);
      },
    );
  });
}

/** Grants of an account that is made come with it. */
const isPartOfMade = (one: string, real: ReadonlySet<string>): boolean =>
  real.has(`${one.split(' ')[0]} made`);
