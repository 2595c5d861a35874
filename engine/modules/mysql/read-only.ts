import { z } from 'zod';
import { state } from '../../core/module.ts';
import { withServer } from './_connect.ts';
import { loginOf, loginParam } from './_settings.ts';

/** MySQL's super_read_only holds off administrators too; MariaDB has read_only alone. */
type Level = 'off' | 'on' | 'super';

export default state({
  summary: 'A MySQL or MariaDB server takes writes, or takes none',
  source: 'MySQL 8.4 manual, 7.1.8',
  params: z.strictObject({
    state: z.enum(['on', 'off']).describe('`on`: no writes but those of replication'),
    strict: z
      .boolean()
      .default(true)
      .describe('Hold off administrators too, where the server can (MySQL: super_read_only)'),
    login: loginParam,
  }),
  shorthand: 'state',
  examples: `
- name: The standby takes no writes
  mysql.read_only: on
`,
  returns: {
    read_only: z.enum(['off', 'on', 'super']).describe('super: administrators are held off too'),
  },
  check: (ctx, { state: wanted, strict, login }) =>
    withServer(ctx, loginOf(ctx.cluster, login), async (server) => {
      const isMysql = server.version.flavour === 'mysql';
      const [row] = await server.rows(
        `SELECT @@GLOBAL.read_only AS plain, ${isMysql ? '@@GLOBAL.super_read_only' : '0'} AS super`,
      );
      const before: Level =
        Number(row?.['super']) === 1 ? 'super' : Number(row?.['plain']) === 1 ? 'on' : 'off';
      const after: Level = wanted === 'off' ? 'off' : isMysql && strict ? 'super' : 'on';
      const changes = before === after ? [] : [{ what: 'read_only', before, after }];
      return { changes, result: { read_only: before } };
    }),
  apply: (ctx, { login }, found) =>
    withServer(ctx, loginOf(ctx.cluster, login), async (server) => {
      const isMysql = server.version.flavour === 'mysql';
      const after = found.changes[0]?.after;
      // Switching read_only off takes super_read_only with it, and super_read_only brings read_only along.
      if (isMysql && after === 'super') await server.rows('SET GLOBAL super_read_only = ON');
      else if (isMysql && after === 'on')
        await server.script(['SET GLOBAL super_read_only = OFF', 'SET GLOBAL read_only = ON']);
      else await server.rows(`SET GLOBAL read_only = ${after === 'off' ? 'OFF' : 'ON'}`);
      return undefined;
    }),
  obligation: ({ state: wanted }) =>
    wanted === 'off'
      ? { scope: 'host', closes: 'read-only' }
      : { scope: 'host', opens: 'read-only', message: 'the database takes no writes' },
});
