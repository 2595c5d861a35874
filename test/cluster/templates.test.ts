import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { settingsSchema } from '../../engine/cluster/dbackup.ts';
import { renderText } from '../../engine/parse/template.ts';

const settings = (flavour: string) =>
  settingsSchema.parse({
    database: { flavour },
    heartbeats: [
      { addresses: { dbk1: '10.0.0.1', dbk2: '10.0.0.2' } },
      { addresses: { dbk1: '10.1.0.1', dbk2: '10.1.0.2' } },
    ],
    vips: [
      { address: '10.0.0.120', interfaces: { dbk1: 'eth1', dbk2: 'ens1' } },
      { address: '10.1.0.120', prefix: 16, interfaces: { dbk1: 'eth2', dbk2: 'ens2' } },
    ],
  });

const rendered = (file: string, flavour: string, host = 'dbk1'): string =>
  renderText(
    readFileSync(new URL(`../../templates/${file}`, import.meta.url), 'utf8'),
    {
      server_id: host === 'dbk1' ? 234 : 236,
      host: { name: host },
      peer: { name: host === 'dbk1' ? 'dbk2' : 'dbk1' },
      cluster: { name: 'dbk', nodes: ['dbk1', 'dbk2'], settings: settings(flavour) },
    },
    file,
  );

const names = (text: string): readonly string[] =>
  [...text.matchAll(/^([\w-]+) =/gm)].map(([, name = '']) => name);
const PLACES = ['pid-file', 'socket', 'datadir'];
const ALL = [
  'server-id',
  'bind-address',
  'binlog-format',
  'sync_binlog',
  'log_bin',
  'relay-log',
  'relay-log-index',
  'replicate-do-db',
];

// The table of section 4.3.
test.each([
  ['mysql', [...PLACES, ...ALL, 'log-error', 'mysqlx-bind-address', 'port']],
  ['mariadb', [...PLACES, ...ALL, 'character-set-server', 'port']],
  ['kylin', [...ALL, 'port']],
  ['greatdb', ['bind-address', 'server-id', 'replicate-do-db', 'gtid_mode']],
])('mysqld.cnf of %s has the settings of the document', (flavour, wanted) => {
  const text = rendered('mysqld.cnf.hbs', flavour);
  expect(names(text).toSorted()).toEqual(wanted.toSorted());
  expect(text).toContain('replicate-do-db = dbackup3\n');
});

test('node 2 has its own number and logs', () => {
  const text = rendered('mysqld.cnf.hbs', 'mysql', 'dbk2');
  expect(text).toContain('server-id = 236\n');
  expect(text).toContain('log_bin = /var/lib/mysql/mysql236-bin\n');
});

test('keepalived.conf names the own side first and the peer second, and every VIP', () => {
  const text = rendered('keepalived.conf.hbs', 'mysql', 'dbk2');
  expect(text).toMatch(
    /interface ens1\n[\s\S]*unicast_src_ip 10\.0\.0\.2\n\s*unicast_peer \{\n\s*10\.0\.0\.1\n/,
  );
  expect(text).toMatch(
    /virtual_ipaddress \{\n\s*10\.0\.0\.120\/24 dev ens1\n\s*10\.1\.0\.120\/16 dev ens2\n\s*\}/,
  );
  expect(text.split('{').length).toBe(text.split('}').length);
});
