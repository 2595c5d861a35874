import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Change } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import type { Server } from './_connect.ts';
import { SqlError, withServer } from './_connect.ts';
import type { Grant } from './_grants.ts';
import { objectName, parseGrants, privilegeName } from './_grants.ts';
import { isPasswordOf } from './_password.ts';
import { loginOf, loginParam } from './_settings.ts';
import { quoteName, statementOf } from './_statement.ts';

const params = z.strictObject({
  user: z.string().min(1).describe('Name of the account'),
  host: z
    .string()
    .min(1)
    .default('localhost')
    .describe('Address it may come from; `%` for anywhere, `10.0.0.%` for a network'),
  state: z.enum(['present', 'absent']).default('present').describe('There or gone'),
  password: z.string().optional().describe('Its password').meta({ secret: true }),
  plugin: z
    .string()
    .regex(/^\w+$/)
    .optional()
    .describe("How it proves itself (default: as it is, or the server's usual way with a password)"),
  grants: z
    .array(
      z.strictObject({
        on: z
          .string()
          .regex(/^[^.\s]+\.[^.\s]+$/)
          .describe('`*.*`, `database.*` or `database.table`'),
        privileges: z
          .array(z.string().regex(/^[\w ]+( ?\([\w, ]+\))?$/))
          .min(1)
          .describe('Privileges, such as SELECT or ALL'),
        grant_option: z.boolean().default(false).describe('May hand them on'),
      }),
    )
    .default([])
    .describe('What it may do'),
  exact: z.boolean().default(false).describe('Take away privileges that are not listed'),
  login: loginParam,
});
type Params = z.output<typeof params>;

interface Account {
  readonly plugin: string;
  readonly stored: Buffer;
  readonly grants: readonly Grant[];
}

const nameOf = ({ user, host }: Params): string => `'${user}'@'${host}'`;

async function look(server: Server, { user, host }: Params): Promise<Account | undefined> {
  const [row] = await server.rows(
    'SELECT plugin, HEX(authentication_string) AS proof FROM mysql.user WHERE user = ? AND host = ?',
    [user, host],
  );
  if (row === undefined) return undefined;
  const lines = await server.rows('SHOW GRANTS FOR ?@?', [user, host]);
  return {
    plugin: String(row['plugin']) || 'mysql_native_password',
    stored: Buffer.from(String(row['proof']), 'hex'),
    grants: parseGrants(lines.map((line) => String(Object.values(line)[0]))),
  };
}

/** Every privilege that ALL stands for; MySQL lists them one by one in SHOW GRANTS. */
async function everything(server: Server): Promise<readonly string[]> {
  const rows = await server.rows('SHOW PRIVILEGES');
  return rows
    .map((row) => privilegeName(String(row['Privilege'])))
    .filter((name) => !['GRANT OPTION', 'PROXY', 'USAGE'].includes(name));
}

interface GrantChange {
  readonly verb: 'GRANT' | 'REVOKE';
  readonly on: string;
  readonly privileges: readonly string[];
  readonly hasGrantOption: boolean;
}

async function grantChanges(
  server: Server,
  params: Params,
  held: readonly Grant[],
): Promise<readonly GrantChange[]> {
  const changes: GrantChange[] = [];
  const wanted = new Map(params.grants.map((grant) => [objectName(grant.on), grant]));
  const isAll = (privileges: Iterable<string>): boolean =>
    [...privileges].map(privilegeName).includes('ALL PRIVILEGES');
  let all: readonly string[] | undefined;
  for (const [on, grant] of wanted) {
    const has = held.find((one) => one.on === on);
    const needed = grant.privileges.map(privilegeName);
    let missing =
      has === undefined || !has.privileges.has('ALL PRIVILEGES')
        ? needed.filter((name) => has?.privileges.has(name) !== true)
        : [];
    if (missing.includes('ALL PRIVILEGES') && on === '*.*' && has !== undefined) {
      const held = has.privileges;
      all ??= await everything(server);
      if (all.every((name) => held.has(name) || held.has(name.replaceAll(' ', '_')))) missing = [];
    }
    const lacksOption = grant.grant_option && has?.hasGrantOption !== true;
    if (missing.length > 0 || lacksOption)
      changes.push({
        verb: 'GRANT',
        on,
        privileges: missing.length > 0 ? missing : needed,
        hasGrantOption: grant.grant_option,
      });
  }
  if (!params.exact) return changes;
  for (const { on, privileges, hasGrantOption } of held) {
    const grant = wanted.get(on);
    const keep = new Set((grant?.privileges ?? []).map(privilegeName));
    const extra = isAll(keep) ? [] : [...privileges].filter((name) => !keep.has(name));
    const losesOption = hasGrantOption && grant?.grant_option !== true;
    if (extra.length > 0 || losesOption)
      // Revoking all would take the wanted ones too: they are granted again after it.
      changes.push({ verb: 'REVOKE', on, privileges: extra, hasGrantOption: losesOption });
    if (extra.includes('ALL PRIVILEGES') && grant !== undefined)
      changes.push({ verb: 'GRANT', on, privileges: [...keep], hasGrantOption: grant.grant_option });
  }
  return changes;
}

const grantText = ({ privileges, on, hasGrantOption }: GrantChange): string =>
  `${privileges.join(', ') || 'USAGE'} on ${on}${hasGrantOption ? ' with grant option' : ''}`;

interface Plan {
  readonly now: Account | undefined;
  readonly changes: readonly Change[];
  readonly mustCreate: boolean;
  readonly mustAlter: boolean;
  readonly plugin: string;
  readonly grants: readonly GrantChange[];
}

const usualPlugin = (server: Server): string =>
  server.version.flavour === 'mariadb' || server.version.number < 80000
    ? 'mysql_native_password'
    : 'caching_sha2_password';

async function refuseUnknown(server: Server, plugin: string): Promise<void> {
  const [row] = await server.rows(
    "SELECT 1 FROM information_schema.plugins WHERE plugin_type = 'AUTHENTICATION' AND plugin_status = 'ACTIVE' AND plugin_name = ?",
    [plugin],
  );
  if (row === undefined)
    throw new StepFailed(
      `${server.version.text} has no plugin ${plugin} to prove an account by`,
      {},
      { hint: 'leave `plugin` out' },
    );
}

async function planOf(server: Server, params: Params): Promise<Plan> {
  const name = nameOf(params);
  const now = await look(server, params);
  const plugin = params.plugin ?? now?.plugin ?? usualPlugin(server);
  const nothing = { now, changes: [], mustCreate: false, mustAlter: false, plugin, grants: [] };
  if (params.state === 'absent') {
    if (now === undefined) return nothing;
    return { ...nothing, changes: [{ what: `account ${name}`, before: 'present', after: 'absent' }] };
  }
  if (plugin !== now?.plugin) await refuseUnknown(server, plugin);
  const changes: Change[] = [];
  let mustAlter = false;
  if (now === undefined)
    changes.push({ what: `account ${name}`, before: 'absent', after: `present, by ${plugin}` });
  else if (plugin !== now.plugin) {
    mustAlter = true;
    changes.push({ what: `authentication of ${name}`, before: now.plugin, after: plugin });
  } else if (params.password !== undefined) {
    const isSame = isPasswordOf(plugin, now.stored, params.password);
    if (isSame === undefined)
      throw new StepFailed(
        `Whether the password of ${name} is the wanted one cannot be told with ${plugin}`,
        {},
        {
          hint: 'leave `password` out, or choose the plugin mysql_native_password or caching_sha2_password',
        },
      );
    mustAlter = !isSame;
    if (mustAlter) changes.push({ what: `password of ${name}`, before: 'another', after: 'as given' });
  }
  const grants = await grantChanges(server, params, now?.grants ?? []);
  for (const change of grants) {
    const what = `grants of ${name} on ${change.on}`;
    changes.push(
      change.verb === 'GRANT' ? { what, after: grantText(change) } : { what, before: grantText(change) },
    );
  }
  return { now, changes, mustCreate: now === undefined, mustAlter, plugin, grants };
}

/** How the statement says the authentication; MySQL and MariaDB spell the plugin's password differently. */
async function identified(server: Server, plugin: string, password: string | undefined): Promise<string> {
  if (password === undefined)
    return ` IDENTIFIED ${server.version.flavour === 'mariadb' ? 'VIA' : 'WITH'} ${plugin}`;
  if (server.version.flavour === 'mariadb') {
    if (server.version.number < 100400 && plugin === 'mysql_native_password')
      return statementOf(' IDENTIFIED BY ?', [password]);
    return statementOf(` IDENTIFIED VIA ${plugin} USING PASSWORD(?)`, [password]);
  }
  return statementOf(` IDENTIFIED WITH ${plugin} BY ?`, [password]);
}

const objectSql = (on: string): string =>
  on
    .split('.')
    .map((part) => (part === '*' ? '*' : quoteName(part)))
    .join('.');

async function statements(server: Server, params: Params): Promise<readonly string[]> {
  const plan = await planOf(server, params);
  if (plan.changes.length === 0) return [];
  const name = await statementOf('?@?', [params.user, params.host]);
  if (params.state === 'absent') return [`DROP USER ${name}`];
  const list: string[] = [];
  const proof = await identified(server, plan.plugin, params.password);
  if (plan.mustCreate) list.push(`CREATE USER ${name}${proof}`);
  if (plan.mustAlter) list.push(`ALTER USER ${name}${proof}`);
  for (const { verb, on, privileges, hasGrantOption } of plan.grants) {
    if (verb === 'GRANT')
      list.push(
        `GRANT ${privileges.join(', ')} ON ${objectSql(on)} TO ${name}${hasGrantOption ? ' WITH GRANT OPTION' : ''}`,
      );
    else {
      if (privileges.length > 0)
        list.push(`REVOKE ${privileges.join(', ')} ON ${objectSql(on)} FROM ${name}`);
      if (hasGrantOption) list.push(`REVOKE GRANT OPTION ON ${objectSql(on)} FROM ${name}`);
    }
  }
  return list;
}

const blamed = (error: unknown): unknown =>
  error instanceof SqlError && error.errno === 1524
    ? new StepFailed(`${error.message}`, {}, { hint: 'this server has no such plugin; leave `plugin` out' })
    : error;

export default state({
  summary: 'An account of a MySQL or MariaDB server has this password and these privileges',
  source: 'MySQL 8.4 manual, 15.7.1; MariaDB documentation, GRANT',
  params,
  examples: `
- name: The peer may replicate, from its heartbeat address alone
  mysql.account:
    user: repl
    host: '{{peer.address}}'
    password: '{{cluster.settings.database.replication.password}}'
    grants:
      - { on: '*.*', privileges: [REPLICATION SLAVE, REPLICATION CLIENT] }
`,
  returns: {
    plugin: z.string().nullable().describe('How it proves itself, or null where it is not there'),
    grants: z
      .array(z.object({ on: z.string(), privileges: z.array(z.string()), grant_option: z.boolean() }))
      .describe('What it may do'),
  },
  check: (ctx, params) =>
    withServer(ctx, loginOf(ctx.cluster, params.login), async (server) => {
      const { changes, now } = await planOf(server, params);
      const grants = (now?.grants ?? []).map(({ on, privileges, hasGrantOption }) => ({
        on,
        privileges: [...privileges],
        grant_option: hasGrantOption,
      }));
      return { changes, result: { plugin: now?.plugin ?? null, grants } };
    }),
  apply: (ctx, params) =>
    withServer(ctx, loginOf(ctx.cluster, params.login), async (server) => {
      const list = await statements(server, params);
      // Every node keeps accounts of its own: what the peer already has would stop its replication.
      try {
        await server.script(['SET SESSION sql_log_bin = 0', ...list]);
      } catch (error) {
        throw blamed(error);
      }
      return undefined;
    }),
});
