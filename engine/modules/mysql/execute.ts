import { z } from 'zod';
import { action } from '../../core/module.ts';
import { withServer } from './_connect.ts';
import { loginOf, loginParam } from './_settings.ts';
import { scalar, statementOf } from './_statement.ts';

export default action({
  summary: 'Runs one statement that writes on a MySQL or MariaDB server',
  params: z.strictObject({
    statement: z.string().min(1).describe('One statement, `?` where a value of `params` goes'),
    params: z.array(scalar).default([]).describe('Values for the `?`, in order'),
    database: z.string().optional().describe('Database to use'),
    login: loginParam,
  }),
  shorthand: 'statement',
  examples: `
- name: A mark to look for on the other node
  mysql.execute: { statement: 'INSERT INTO marks (text) VALUES (?)', params: ['{{run.id}}'], database: dbackup3 }
`,
  returns: { rows: 'Rows, where the statement gives any' },
  run: (ctx, { statement, params, database, login }) =>
    withServer(ctx, loginOf(ctx.cluster, login), async (server) => {
      const rows = await server.script([
        ...(database === undefined ? [] : [await statementOf('USE ??', [database])]),
        await statementOf(statement, params),
      ]);
      return { result: { rows } };
    }),
});
