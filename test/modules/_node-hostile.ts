import { expect, test } from 'vitest';
import type { Result } from '../../engine/core/module.ts';
import type { Bench } from './_context.ts';
import { CANARY, hostileWrongs } from './_hostile.ts';
import type { Settings } from './_settings.ts';

export type Ask = (sql: string, params?: readonly string[]) => Promise<unknown>;

/** What needs a whole system: services, packages, a database server. */
export const nodeSettings = (ask: Ask): Settings => ({
  service: [{ params: { name: 'cron' } }],
  package: [
    { params: { name: 'cron', version: '1' }, only: ['version'] },
    { params: { files: 'x.deb' }, only: ['files', 'files.*'] },
    { params: { name: ['cron'] } },
  ],
  user_password: [{ params: { user: 'games', password: 'x' } }],
  mount: [
    {
      params: { path: '/srv/names/x', src: 'tmpfs', fstype: 'tmpfs', state: 'ephemeral' },
      only: ['path', 'opts'],
      wrap: { path: (text) => `/srv/names/${text}` },
    },
    {
      params: { path: '/srv/x', src: 'x', fstype: 'xfs', state: 'present', fstab: '/root/names/fstab' },
      wrap: { fstab: (text) => `/root/names/${text}` },
    },
  ],
  group: [{ params: { name: 't-hostile' } }],
  user: [{ params: { name: 't-hostile' }, wrap: { home: (text) => `/home/${text}` } }],
  sysctl: [
    {
      params: { name: 'vm.x', value: 'x', sysctl_set: false, sysctl_file: '/root/names/s.conf' },
      wrap: { sysctl_file: (text) => `/root/names/${text}` },
    },
  ],
  time_sync: [{ params: { servers: ['10.9.9.9'] } }],
  'keepalived.config': [
    {
      params: { src: 'k.hbs', dest: '/root/names/k', service: 'no-such' },
      wrap: { dest: (text) => `/root/names/${text}` },
    },
  ],
  'mysql.query': [
    {
      params: { query: 'SELECT ?', params: ['x'] },
      arrived: { 'params.*': ({ value }) => Promise.resolve(value) },
    },
  ],
  'mysql.execute': [
    {
      params: { statement: 'SELECT ? AS text', params: ['x'] },
      arrived: { 'params.*': ({ rows }) => Promise.resolve((rows as readonly Result[])[0]?.['text']) },
    },
  ],
  'mysql.account': [
    { params: { user: 't-host', host: 'x', state: 'absent' }, only: ['host'] },
    {
      params: { user: 'x', password: 'y', grants: [{ on: 'd.t', privileges: ['SELECT'] }] },
      arrived: {
        user: (_, __, text) => ask('SELECT user AS text FROM mysql.user WHERE BINARY user = ?', [text]),
      },
    },
  ],
  'mysql.database': [
    {
      params: { name: 'x' },
      arrived: {
        name: (_, __, text) =>
          ask('SELECT schema_name AS text FROM information_schema.schemata WHERE BINARY schema_name = ?', [
            text,
          ]),
      },
    },
  ],
  'mysql.variables': [
    {
      // The server keeps its variables in three-byte UTF-8: what needs four is told not to have been taken.
      params: { variables: { init_connect: 'x' } },
      key: 'init_connect',
      wrap: { 'variables.key': (text) => text.replaceAll('🚀', '') },
      arrived: {
        'variables.key': async (_, __, text) =>
          (await ask('SELECT @@GLOBAL.init_connect AS text')) === text.replaceAll('🚀', '')
            ? text
            : 'another',
      },
    },
  ],
  'mysql.read_only': [{ params: { state: 'off' } }],
  'mysql.semi_sync': [{ params: { state: 'off' } }],
  'mysql.replication': [
    {
      params: {
        state: 'replicating',
        from: 'gtid',
        wait: '1ms',
        source: { host: '127.0.0.9', user: 'u', password: 'p' },
      },
    },
  ],
});

/** Whatever is in a text of these modules, nothing of it is run on their node, and it arrives or is refused. */
export function hostileOnNode(bench: () => Bench, settings: Settings): void {
  test.each(Object.entries(settings))(
    '%s: whatever is in a text, nothing of it is run, and it arrives or is refused',
    async (name, own) => {
      await bench().ctx.sh('mkdir -p /root/names');
      const wrong = await hostileWrongs(bench(), name, own, { dir: '/root' });
      const { stdout } = await bench().ctx.sh('find / -xdev -name "$1"', { args: [CANARY] });
      expect(stdout, 'it was run').toBe('');
      expect(wrong).toEqual([]);
    },
    180_000,
  );
}
