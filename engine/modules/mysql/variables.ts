import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import { state } from '../../core/module.ts';
import { suggest } from '../../core/nearest.ts';
import type { Change } from '../../core/module.ts';
import type { Server } from './_connect.ts';
import { withServer } from './_connect.ts';
import { loginOf, loginParam } from './_settings.ts';

const UNITS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** One spelling for what means the same to the server: `on`, `1`, `true`; `16M`, `16777216`. */
export function normalValue(value: string | number | boolean): string {
  const text = String(value).trim();
  if (/^(on|true|yes)$/i.test(text)) return '1';
  if (/^(off|false|no)$/i.test(text)) return '0';
  const size = /^(\d+)([kmgt])$/i.exec(text);
  if (size !== null) return String(Number(size[1]) * (UNITS[(size[2] ?? '').toLowerCase()] ?? 1));
  if (/^-?\d+(\.\d+)?$/.test(text)) return String(Number(text));
  return text.toLowerCase();
}

async function read(server: Server, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const rows = await server.rows('SHOW GLOBAL VARIABLES');
  const all = new Map(rows.map((row) => [String(row['Variable_name']), String(row['Value'])]));
  for (const name of names) {
    if (all.has(name)) continue;
    throw new StepFailed(
      `${server.version.text} has no variable \`${name}\``,
      {},
      { hint: suggest(name, all.keys()) },
    );
  }
  await refuseConstants(server, names);
  // SHOW cuts long values off.
  for (const name of names.filter((one) => (all.get(one)?.length ?? 0) >= 1000)) {
    const [row] = await server.rows(`SELECT @@GLOBAL.\`${name}\` AS value`);
    all.set(name, String(row?.['value']));
  }
  return all;
}

/** What only the configuration file sets; MySQL tells of it when it is set. */
async function refuseConstants({ version, rows }: Server, names: readonly string[]): Promise<void> {
  if (version.flavour !== 'mariadb' || names.length === 0) return;
  const [row] = await rows(
    `SELECT variable_name AS name FROM information_schema.system_variables WHERE read_only = 'YES' AND variable_name IN (${names.map(() => '?').join(', ')})`,
    names,
  );
  if (row === undefined) return;
  const name = String(row['name']).toLowerCase();
  throw new StepFailed(
    `\`${name}\` cannot be set while the server runs`,
    {},
    { hint: 'write it to the configuration file and restart the server' },
  );
}

async function persisted(server: Server): Promise<ReadonlyMap<string, string>> {
  if (server.version.flavour === 'mariadb') {
    throw new StepFailed(
      'MariaDB cannot keep a variable by itself (SET PERSIST is of MySQL)',
      {},
      {
        hint: 'leave `persist` out and write the variable to the configuration file too',
      },
    );
  }
  const rows = await server.rows(
    'SELECT variable_name AS name, variable_value AS value FROM performance_schema.persisted_variables',
  );
  return new Map(rows.map((row) => [String(row['name']), String(row['value'])]));
}

export default state({
  summary: 'Global variables of a running MySQL or MariaDB server have these values',
  source: 'MySQL 8.4 manual, 15.7.6.1',
  params: z.strictObject({
    variables: z
      .record(z.string().regex(/^\w+$/), z.union([z.string(), z.number(), z.boolean()]))
      .describe('Name → value; `on`, `1` and `true` are the same, sizes may be given as 16M'),
    persist: z
      .boolean()
      .default(false)
      .describe('Keep them over a restart (MySQL alone; MariaDB needs its configuration file)'),
    login: loginParam,
  }),
  shorthand: 'variables',
  examples: `
- name: Every commit is on the disk
  mysql.variables: { variables: { sync_binlog: 1, innodb_flush_log_at_trx_commit: 1 } }
`,
  returns: {
    variables: z.record(z.string(), z.string()).describe('Name → value as the server has it'),
  },
  check: (ctx, { variables, persist, login }) =>
    withServer(ctx, loginOf(ctx.cluster, login), async (server) => {
      const now = await read(server, Object.keys(variables));
      const kept = persist ? await persisted(server) : undefined;
      const changes: Change[] = [];
      for (const [name, wanted] of Object.entries(variables)) {
        const compare = (what: string, before: string | undefined): void => {
          if (before !== undefined && normalValue(before) === normalValue(wanted)) return;
          changes.push({ what, before: before ?? 'not kept', after: String(wanted) });
        };
        compare(`variable ${name}`, now.get(name));
        if (kept !== undefined) compare(`kept variable ${name}`, kept.get(name));
      }
      const result = {
        variables: Object.fromEntries(Object.keys(variables).map((name) => [name, now.get(name)])),
      };
      return { changes, result };
    }),
  apply: (ctx, { variables, persist, login }, found) =>
    withServer(ctx, loginOf(ctx.cluster, login), async (server) => {
      for (const [name, wanted] of Object.entries(variables)) {
        if (!found.changes.some(({ what }) => what.endsWith(`variable ${name}`))) continue;
        const normal = normalValue(wanted);
        const value = /^-?\d+(\.\d+)?$/.test(normal) ? Number(normal) : String(wanted);
        await server.rows(`SET ${persist ? 'PERSIST' : 'GLOBAL'} ${name} = ?`, [value]);
      }
      return undefined;
    }),
});
