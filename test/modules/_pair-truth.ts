import type { Result } from '../../engine/core/module.ts';
import type { Kinds } from './_node-truth.ts';

const VAR = '/var/opt/scutech/dbackup3';
const BIN = '/opt/scutech/dbackup3/bin';

/** Lines of every file below the folders: its content, and when it was last touched. */
const filesOf = (...folders: readonly string[]): string =>
  `find ${folders.join(' ')} -type f 2>/dev/null | while IFS= read -r file; do printf '%s\\tcontent\\t%s\\n%s\\tmtime\\t%s\\n' "$file" "$(sha256sum <"$file")" "$file" "$(stat -c %y "$file")"; done`;

const made = (before: string | undefined, after: string | undefined): string =>
  before === '' ? 'made' : after === 'absent' ? 'gone' : 'content';

const CATALOG = { user: 't-truth', password: 'one "two"' };
const account = (password: string): string =>
  `mariadb -e "SET sql_log_bin = 0; CREATE OR REPLACE USER 't-truth'@'%' IDENTIFIED BY '${password}'"`;
const INFO = { uuid: '0c2b6e0a-1f0e-4d0b-9b60-2f3c4d5e6f70', primary: 'dbk1' };

/** What needs the product, and no cluster of it; nothing of ha.info is there. */
export const dbackupKinds: Kinds = {
  'dbackup.address': {
    look: `for one in agent stored; do printf '%s\\tserver\\t%s\\n' "$one" "$(sed -n s/^server=//p ${VAR}/$one/$one.conf 2>/dev/null)"; done; printf 'all\\tmtime\\t%s\\n' "$(stat -c '%n %y' ${VAR}/*/*.conf | tr '\\n' ' ')"`,
    told: ({ what }) => what.replace(/^server of the (.*)$/, '$1 server'),
    situations: [
      { of: 'another address', params: { address: '192.0.2.7', restart: false } },
      { of: 'as wanted', params: { address: '192.0.2.7', restart: false } },
      { of: 'another address, at once', params: { address: '127.0.0.1' } },
      { of: 'of the storage service', params: { component: 'stored', address: '192.0.2.8', restart: false } },
      {
        of: 'of one that is not installed',
        when: 'mv /etc/init.d/dbackup3-stored /root/',
        params: { component: 'stored', address: '192.0.2.9' },
        cannot: 'cannot be read',
      },
    ],
  },
  'dbackup.catalog': {
    look: `list() { ${BIN}/config "$2" list -n "$3" | sed -n "/^password/d; s/^\\\\([a-z]*\\\\):[[:blank:]]*\\\\(.*\\\\)/$1\\\\t\\\\1\\\\t\\\\2/p"; }
list Catalog db common; list queue queue alert
printf 'password\\tvalue\\t%s\\n' "$(grep -h ^password= ${VAR}/common/mysql.conf | sha256sum)"
[ ! -e ${VAR}/backupd/database-conf.d/mysql.conf ] || printf 'old\\tis\\tthere\\n'
printf 'all\\tmtime\\t%s\\n' "$(stat -c '%n %y' ${VAR}/common/* | tr '\\n' ' ')"`,
    told: ({ what }) => {
      const [, key = '', store = ''] = /^(\w+) of the (Catalog|queue)$/.exec(what) ?? [];
      return key === 'password' ? 'password value' : key === '' ? 'old gone' : `${store} ${key}`;
    },
    situations: [
      {
        of: 'another account',
        when: `mv /root/dbackup3-stored /etc/init.d/ 2>/dev/null; ${account('one \\"two\\"')}`,
        params: CATALOG,
      },
      { of: 'as wanted', params: CATALOG },
      { of: 'another password', when: account('three'), params: { ...CATALOG, password: 'three' } },
      { of: 'another port and host', params: { ...CATALOG, password: 'three', host: 'localhost' } },
      {
        of: 'the file of an older release',
        when: `mkdir -p ${VAR}/backupd/database-conf.d && cp -p ${VAR}/common/mysql.conf ${VAR}/backupd/database-conf.d/`,
        params: { ...CATALOG, password: 'three', host: 'localhost' },
      },
    ],
  },
  'dbackup.ha_info': {
    look: filesOf(`${VAR}/agent/ha.info`, `${VAR}/agent/standby`),
    told: ({ what, before, after }) => `${what} ${made(before, after)}`,
    situations: [
      { of: 'absent', when: `rm -f ${VAR}/agent/ha.info`, params: INFO },
      { of: 'as wanted', params: INFO },
      { of: 'another primary', params: { ...INFO, primary: 'dbk2' } },
      { of: 'a primary of elsewhere', params: { ...INFO, primary: 'dbk9' }, cannot: 'none of the nodes' },
      {
        of: 'to go, with what the agent left',
        when: `mkdir -p ${VAR}/agent/standby; echo x >${VAR}/agent/standby/${INFO.uuid}; echo y >${VAR}/agent/standby/other`,
        params: { state: 'absent' },
      },
      { of: 'gone', params: { state: 'absent' } },
    ],
  },
};

const DISK = 'disk=$(ls /dev/disk/by-id/ubd-*)';
const wiped = `drbdadm down drbd3; ${DISK}; wipefs -aq $disk; dd if=/dev/zero of=$disk bs=1M status=none; sync; true`;
const T_CONF = { src: 'drbd-global_common.conf.hbs', dest: '/etc/drbd.d/t.conf' };

/** What needs DRBD, with a resource drbd3 that may lose all it has. */
export const drbdKinds: Kinds = {
  'drbd.config': {
    look: filesOf('/etc/drbd.d'),
    told: ({ what, before, after }) => `${what} ${made(before, after)}`,
    situations: [
      { of: 'absent', when: `rm -f ${T_CONF.dest}`, params: T_CONF },
      { of: 'as wanted', params: T_CONF },
      { of: 'another content', when: `echo x >>${T_CONF.dest}`, params: T_CONF },
    ],
  },
  'drbd.metadata': {
    look: `drbdadm dump-md drbd3 >/dev/null 2>&1 && printf 'drbd3\\tmetadata\\tthere\\n'; ${DISK}; printf 'disk\\tmtime\\t%s\\n' "$(sha256sum <$disk)"`,
    told: () => 'drbd3 made',
    situations: [
      { of: 'none', when: wiped, params: { resource: 'drbd3' } },
      { of: 'there', params: { resource: 'drbd3' } },
      {
        of: 'a file system in the way',
        when: `${wiped}; mkfs.ext4 -q $disk`,
        params: { resource: 'drbd3' },
        cannot: 'TYPE=ext4',
      },
      { of: 'a file system that may go', params: { resource: 'drbd3', overwrite: true } },
    ],
  },
  'drbd.resource': {
    look: `drbdsetup events2 --now | sed -n 's/^exists resource name:\\([^ ]*\\) role:\\([^ ]*\\).*/\\1\\trole\\t\\2/p'`,
    told: ({ what, after }) =>
      what.startsWith('role of ') ? 'drbd3 role' : `drbd3 ${after === 'down' ? 'gone' : 'made'}`,
    situations: [
      { of: 'down', when: 'drbdadm down drbd3; true', params: { name: 'drbd3' } },
      { of: 'up', params: { name: 'drbd3' } },
      {
        of: 'another role',
        when: 'drbdadm primary --force drbd3',
        params: { name: 'drbd3', role: 'secondary' },
      },
      { of: 'the role as wanted', params: { name: 'drbd3', role: 'secondary' } },
      { of: 'to take down', params: { name: 'drbd3', state: 'down' } },
      { of: 'down already', params: { name: 'drbd3', state: 'down' } },
    ],
  },
};

/** What needs a disk that may be written over. */
export const diskKinds = (disk: () => string): Kinds => {
  const at =
    (more: Result = {}) =>
    (): Result => ({ device: disk(), ...more });
  const empty = `${DISK}; wipefs -aq $disk; dd if=/dev/zero of=$disk bs=1M status=none`;
  return {
    filesystem: {
      look: `${DISK}; type=$(blkid -p -s TYPE -o value $disk) && printf 'disk\\ttype\\t%s\\n' "$type"; printf 'all\\tmtime\\t%s\\n' "$(sha256sum <$disk)"`,
      told: ({ before }) => `disk ${before === 'none' ? 'made' : 'type'}`,
      situations: [
        { of: 'none', when: empty, params: at() },
        { of: 'as wanted', params: at() },
        { of: 'swap', when: `${empty}; mkswap -q $disk`, params: at(), cannot: 'TYPE=swap' },
        { of: 'swap that may go', params: at({ overwrite: true }) },
      ],
    },
  };
};
