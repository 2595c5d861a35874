import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import { state } from '../../core/module.ts';
import type { Change } from '../../core/module.ts';
import { withServer } from './_connect.ts';
import type { Server } from './_connect.ts';
import { loginOf, loginParam } from './_settings.ts';
import { quoteName } from './_statement.ts';

const word = z.string().regex(/^\w+$/);

async function refuseUnknown(
  server: Server,
  what: string,
  table: string,
  column: string,
  name: string | undefined,
): Promise<void> {
  if (name === undefined) return;
  const [row] = await server.rows(`SELECT 1 FROM information_schema.${table} WHERE ${column} = ?`, [name]);
  if (row === undefined) throw new StepFailed(`${server.version.text} has no ${what} ${name}`);
}

export default state({
  summary: 'A database is there (or gone) on a MySQL or MariaDB server',
  source: 'MySQL 8.4 manual, 15.1.12',
  params: z.strictObject({
    name: z.string().min(1).describe('The database'),
    state: z.enum(['present', 'absent']).default('present').describe('There or gone'),
    charset: word.optional().describe('Default character set'),
    collation: word.optional().describe('Default collation'),
    login: loginParam,
  }),
  shorthand: 'name',
  examples: `
- name: The Catalog's database
  mysql.database: { name: dbackup3, charset: utf8mb4 }
`,
  returns: {
    charset: z.string().optional().describe('Default character set, when it is there'),
    collation: z.string().optional().describe('Default collation, when it is there'),
  },
  destroys: ({ name, state: wanted }) =>
    wanted === 'absent' ? `database ${name} with all its tables` : undefined,
  check: (ctx, { name, state: wanted, charset, collation, login }) =>
    withServer(ctx, loginOf(ctx.cluster, login), async (server) => {
      const [row] = await server.rows(
        'SELECT default_character_set_name AS charset, default_collation_name AS collation FROM information_schema.schemata WHERE schema_name = ?',
        [name],
      );
      await refuseUnknown(server, 'character set', 'character_sets', 'character_set_name', charset);
      await refuseUnknown(server, 'collation', 'collations', 'collation_name', collation);
      const changes: Change[] = [];
      if ((row !== undefined) !== (wanted === 'present')) {
        changes.push({
          what: `database ${name}`,
          before: row === undefined ? 'absent' : 'present',
          after: wanted,
        });
      }
      if (row !== undefined && wanted === 'present') {
        const compare = (what: string, after: string | undefined, before: string): void => {
          if (after !== undefined && after !== before)
            changes.push({ what: `${what} of database ${name}`, before, after });
        };
        compare('character set', charset, String(row['charset']));
        compare('collation', collation, String(row['collation']));
      }
      return { changes, result: row === undefined ? {} : { ...row } };
    }),
  apply: (ctx, { name, state: wanted, charset, collation, login }, found) =>
    withServer(ctx, loginOf(ctx.cluster, login), async (server) => {
      const verb = found.changes.some(({ what }) => what === `database ${name}`) ? 'CREATE' : 'ALTER';
      const options =
        (charset === undefined ? '' : ` CHARACTER SET ${charset}`) +
        (collation === undefined ? '' : ` COLLATE ${collation}`);
      await server.rows(
        wanted === 'absent'
          ? `DROP DATABASE ${quoteName(name)}`
          : `${verb} DATABASE ${quoteName(name)}${options}`,
      );
      return undefined;
    }),
});
