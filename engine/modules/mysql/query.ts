import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import { query } from '../../core/module.ts';
import { withServer } from './_connect.ts';
import { loginOf, loginParam } from './_settings.ts';
import { scalar, statementOf, zRow } from './_statement.ts';

/** A read-only transaction stops rows from being written, but a statement that commits by itself ends it first. */
const READS = /^[\s(]*(select|show|with|explain|describe|desc|table|values|checksum)\b/i;

export default query({
  summary: 'Reads from a MySQL or MariaDB server, inside a read-only transaction',
  source: 'MySQL 8.4 manual, 15.3.1',
  params: z.strictObject({
    query: z.string().min(1).describe('One statement, `?` where a value of `params` goes'),
    params: z.array(scalar).default([]).describe('Values for the `?`, in order'),
    database: z.string().optional().describe('Database to use'),
    login: loginParam,
  }),
  shorthand: 'query',
  examples: `
- name: How many jobs there are
  mysql.query: { query: 'SELECT COUNT(*) AS jobs FROM jobs WHERE state = ?', params: [done], database: dbackup3 }
  register: count
`,
  returns: {
    rows: z.array(zRow).describe('The rows, each an object by column'),
    row: zRow.nullable().describe('The first row, or null'),
    value: z.unknown().describe('The first column of the first row, or null'),
    count: z.int().describe('How many rows came'),
  },
  read: (ctx, { query: sql, params, database, login }) => {
    if (!READS.test(sql)) {
      const word = sql.trim().split(/\s/, 1)[0] ?? '';
      throw new StepFailed(
        `mysql.query only reads, and this begins with ${word}`,
        {},
        { hint: 'write with mysql.execute' },
      );
    }
    return withServer(ctx, loginOf(ctx.cluster, login), async (server) => {
      const rows = await server.script([
        'START TRANSACTION READ ONLY',
        ...(database === undefined ? [] : [await statementOf('USE ??', [database])]),
        await statementOf(sql, params),
      ]);
      const row = rows[0] ?? null;
      const value = row === null ? null : (Object.values(row)[0] ?? null);
      return { result: { rows, row, value, count: rows.length } };
    });
  },
});
