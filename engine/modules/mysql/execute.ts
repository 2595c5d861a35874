import { z } from 'zod';
import { action } from '../../core/module.ts';
import { byClient } from './_connect.ts';
import type { Row } from './_connect.ts';
import { loginOf, loginParam } from './_settings.ts';
import { scalar, statementOf, zRow } from './_statement.ts';

/** The client gives text alone. */
const typed = (row: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      const isWhole = typeof value === 'string' && /^(0|-?[1-9]\d{0,14})$/.test(value);
      return [name, isWhole ? Number(value) : value];
    }),
  );

export default action({
  summary: "Runs one statement that writes on a MySQL or MariaDB server, by the node's own client",
  source: 'MySQL 8.4 manual, 6.5.1',
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
  returns: {
    rows: z
      .array(zRow)
      .describe(
        'Rows, where the statement gives any: whole numbers as numbers, NULL as null, the rest as text',
      ),
  },
  isResumable: true,
  async run(ctx, { statement, params, database, login }) {
    const statements = [
      ...(database === undefined ? [] : [await statementOf('USE ??', [database])]),
      await statementOf(statement, params),
    ];
    // A job, and no session of ours: it may be cut off, and what it did could not be told.
    const rows = await byClient(ctx, loginOf(ctx.cluster, login), statements, (script, options) =>
      ctx.job(script, options),
    );
    return { result: { rows: rows.map(typed) } };
  },
});
