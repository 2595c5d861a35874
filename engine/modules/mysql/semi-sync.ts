import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import type { Change, Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { waitUntil } from '../_wait.ts';
import type { Server } from './_connect.ts';
import { withServer } from './_connect.ts';
import { atSource, sourceOf } from './_replicate.ts';
import { semiSyncShown, semiSyncVariables, semiSyncWords } from './_semi-sync.ts';
import { replicaOf, wordsOf } from './_server.ts';
import { loginOf, loginParam } from './_settings.ts';
import { statementOf } from './_statement.ts';

const params = z.strictObject({
  state: z.enum(['on', 'off']).describe('`on`: a commit is acknowledged once a replica has received it'),
  timeout: zDuration
    .default(2000)
    .describe('How long a commit waits for that; then all go on without, until the replica has caught up'),
  login: loginParam,
});

type Params = z.output<typeof params>;

const THREAD = 'receiving thread';
const RECONNECT_MS = 30_000;

/** A receiving thread asks for it when it connects, and gets it where the source has it by then. */
async function isToReconnect(ctx: Context, server: Server): Promise<boolean> {
  const { replica } = semiSyncWords(server.version);
  const now = await replicaOf(server);
  const isAnswering = (await semiSyncShown(server, 'STATUS')).get(`${replica}_status`) === 'ON';
  if (isAnswering || now?.io !== 'Yes') return false;
  const there = await atSource(ctx, sourceOf(ctx, { host: now.host, port: now.port }), (source) =>
    semiSyncShown(source, 'VARIABLES'),
  );
  const { source } = semiSyncWords(server.version);
  return there.get(`${source}_enabled`) === 'ON';
}

async function missingPlugins(server: Server): Promise<readonly (readonly [string, string])[]> {
  const { plugins } = semiSyncWords(server.version);
  const rows = await server.rows(
    "SELECT PLUGIN_NAME AS name FROM information_schema.PLUGINS WHERE PLUGIN_STATUS = 'ACTIVE'",
  );
  const active = new Set(rows.map(({ name }) => String(name)));
  return Object.entries(plugins).filter(([name]) => !active.has(name));
}

/** The list of plugins is a table, which a standby that holds off administrators too must be opened for. */
async function install(server: Server, plugins: readonly (readonly [string, string])[]): Promise<void> {
  const [row] = await server.rows('SELECT @@GLOBAL.super_read_only AS strict');
  const isStrict = Number(row?.['strict']) === 1;
  if (isStrict) await server.rows('SET GLOBAL super_read_only = OFF');
  try {
    for (const [name, library] of plugins) await server.rows(`INSTALL PLUGIN ${name} SONAME '${library}'`);
  } finally {
    if (isStrict) await server.rows('SET GLOBAL super_read_only = ON');
  }
}

/** Connects anew, and waits until the source knows that it answers. */
async function reconnect(ctx: Context, server: Server): Promise<void> {
  const { stop, start } = wordsOf(server.version);
  await server.script([`${stop} IO_THREAD`, `${start} IO_THREAD`]);
  await waitUntil(ctx.signal, RECONNECT_MS, async () => ({
    value: undefined,
    isDone: !(await isToReconnect(ctx, server)) && (await replicaOf(server))?.io === 'Yes',
  }));
}

/** `loose`: a server that lacks the plugin starts all the same. */
const configOf = (variables: Readonly<Record<string, string>>): string =>
  ['[mysqld]', ...Object.entries(variables).map(([name, value]) => `loose_${name} = ${value}`), ''].join(
    '\n',
  );

async function look(ctx: Context, server: Server, { state: wanted, timeout }: Params): Promise<Checked> {
  const words = semiSyncWords(server.version);
  const isOn = wanted === 'on';
  const [missing, now, status] = [
    await missingPlugins(server),
    await semiSyncShown(server, 'VARIABLES'),
    await semiSyncShown(server, 'STATUS'),
  ];
  const plugins = missing.map(([name]) => ({
    ...{ what: `plugin ${name}`, before: 'not installed', after: 'active' },
  }));
  const variables = Object.entries(semiSyncVariables(words, isOn, timeout)).flatMap(([name, after]) => {
    const before = now.get(name);
    if (before === after || (before === undefined && !isOn)) return [];
    return [{ what: `variable ${name}`, before: before ?? 'unknown', after }];
  });
  const thread: Change[] =
    isOn && (await isToReconnect(ctx, server))
      ? [{ what: THREAD, before: 'asynchronous', after: 'semi-synchronous' }]
      : [];
  return {
    changes: [...(isOn ? plugins : []), ...variables, ...thread],
    result: {
      variables: Object.fromEntries(now),
      config: isOn ? configOf(semiSyncVariables(words, true, timeout)) : '',
      is_waiting: status.get(`${words.source}_status`) === 'ON',
      is_answering: status.get(`${words.replica}_status`) === 'ON',
    },
  };
}

export default state({
  summary: 'Commits of a MySQL or MariaDB server wait until a replica has received them, or do not',
  source: 'MySQL 8.4 manual, 19.4.10; MariaDB documentation, Semisynchronous Replication',
  params,
  shorthand: 'state',
  examples: `
- name: An acknowledged row is on both nodes
  mysql.semi_sync: { state: on, timeout: 2s }
`,
  returns: {
    variables: z.record(z.string(), z.string()).describe('Name → value as the server has it'),
    config: z
      .string()
      .meta({ isLasting: true })
      .describe('What a configuration file has to say for a restart; nothing where it is off'),
    is_waiting: z.boolean().describe('Whether commits wait now: a replica that answers is connected'),
    is_answering: z.boolean().describe('Whether this server answers its source as a replica'),
  },
  check: (ctx, given) =>
    withServer(ctx, loginOf(ctx.cluster, given.login), (server) => look(ctx, server, given)),
  apply: (ctx, given, { changes }) =>
    withServer(ctx, loginOf(ctx.cluster, given.login), async (server) => {
      const isAmong = (one: string): boolean => changes.some(({ what }) => what === one);
      const plugins = (await missingPlugins(server)).filter(([name]) => isAmong(`plugin ${name}`));
      if (plugins.length > 0) await install(server, plugins);
      for (const { what, after = '' } of changes) {
        const [, name] = /^variable (\w+)$/.exec(what) ?? [];
        if (name === undefined) continue;
        const value = /^\d+$/.test(after) ? Number(after) : after;
        await server.rows(await statementOf(`SET GLOBAL ${name} = ?`, [value]));
      }
      if (isAmong(THREAD)) await reconnect(ctx, server);
      // What the other node was given meanwhile is not this change's.
      const now = await look(ctx, server, given);
      return { ...now, changes: now.changes.filter(({ what }) => what !== THREAD || isAmong(THREAD)) };
    }),
});
