import { describe, expect, test } from 'vitest';
import type { Result } from '../../engine/core/module.ts';
import { loadModule } from '../../engine/modules/registry.ts';
import { run } from './_context.ts';
import type { Bench } from './_context.ts';
import { CANARY, HUGE, REFUSED, textsOf, told, VALUES } from './_hostile.ts';
import { placeIn, settingFor } from './_settings.ts';
import type { Setting } from './_settings.ts';

/** Statements are SQL, as a shell's text is shell: what is in them is meant to be run. */
const CODE: ReadonlySet<string> = new Set(['mysql.query.query', 'mysql.execute.statement']);

type Ask = (sql: string, params?: readonly string[]) => Promise<unknown>;

/** What needs a whole system: services, packages, a database server. */
const settings = (ask: Ask): Readonly<Record<string, readonly Setting[]>> => ({
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
  time_sync: [{ params: { servers: ['10.9.9.9'] } }],
  'keepalived.config': [
    {
      params: { src: 'k.hbs', dest: '/root/names/k', service: 'no-such' },
      wrap: { dest: (text) => `/root/names/${text}` },
    },
  ],
  'dbackup.address': [{ params: { address: 'x' } }],
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

/** The same for modules that need a node: whatever is in a text, nothing of it is run, and it arrives or is refused. */
export function hostileOnNode(bench: () => Bench): void {
  const ask: Ask = async (query, params = []) =>
    (await run(bench(), 'mysql.query', { query, params })).result['value'];
  describe.each(Object.entries(settings(ask)))('%s', (name, own) => {
    test('whatever is in a text, nothing of it is run, and it arrives or is refused', async () => {
      await bench().ctx.sh('mkdir -p /root/names');
      const wrong: string[] = [];
      for (const path of textsOf((await loadModule(name)).params)) {
        const key = path.join('.');
        const setting = settingFor(own, path);
        if (CODE.has(`${name}.${key}`) || setting === undefined) continue;
        const look = setting.arrived?.[key];
        for (const value of [...VALUES, ...(look ? [HUGE] : []), ...REFUSED]) {
          const ended = await told(
            bench(),
            name,
            setting.params,
            placeIn(setting, path),
            setting.wrap?.[key]?.(value, '') ?? value,
          );
          const blame = (why: string): void =>
            void wrong.push(`${name}.${key} = ${JSON.stringify(value.slice(0, 60))}: ${why}`);
          if (ended.isBug) blame(ended.reason);
          if (REFUSED.includes(value) && !/^[\w.]+: `[\w.*]+` holds/.test(ended.reason))
            blame(`not refused: ${ended.reason}`);
          if (/\n {4}at /.test(ended.reason) || ended.reason.length > 3000)
            blame(`no clean sentence: ${ended.reason.slice(0, 300)}`);
          if (ended.outcome === 'failed' || look === undefined || value === '') continue;
          const there = await look(ended.result, '', value);
          if (there !== value) blame(`what arrived is ${JSON.stringify(String(there).slice(0, 100))}`);
        }
      }
      const { stdout } = await bench().ctx.sh('find / -xdev -name "$1"', { args: [CANARY] });
      expect(stdout, 'it was run').toBe('');
      expect(wrong).toEqual([]);
    });
  });
}
