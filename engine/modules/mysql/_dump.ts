import { randomBytes } from 'node:crypto';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { optionText } from './_client.ts';
import type { OnServer, Server, Version } from './_connect.ts';
import { bytesOf, COPY, toldProgress } from './_copy.ts';
import { sourceOf } from './_replicate.ts';
import { wordsOf } from './_server.ts';
import type { Login } from './_settings.ts';
import { socketOf } from './_settings.ts';
import { quoteName, statementOf } from './_statement.ts';

/** Account on the source for one copy. */
export const GUEST = 'drillbook_resync';

interface Guest {
  readonly password: string;
  /** The address it may come from, and no other. */
  readonly from: string;
}

/** Takes it off. */
export const farewell = async ({ from }: Pick<Guest, 'from'>): Promise<string[]> => [
  'SET SESSION sql_log_bin = 0',
  await statementOf('DROP USER IF EXISTS ?@?', [GUEST, from]),
];

/** An account for this one dump, open to the replica's address alone and to no one afterwards. */
async function newGuest(source: Server, from: string, databases: readonly string[]): Promise<Guest> {
  const password = randomBytes(18).toString('base64url');
  const name = await statementOf('?@?', [GUEST, from]);
  const monitor =
    source.version.flavour === 'mariadb' && source.version.number >= 100500
      ? 'BINLOG MONITOR'
      : 'REPLICATION CLIENT';
  const rights = 'SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES';
  const grants = databases.map((database) => `GRANT ${rights} ON ${quoteName(database)}.* TO ${name}`);
  const hasRole = source.version.flavour === 'mysql' && source.version.number >= 80020;
  // mysqldump reads the text of routines where the account may see all of mysql.proc or of the dictionary.
  await source.script([
    ...(await farewell({ from })),
    await statementOf(`CREATE USER ${name} IDENTIFIED BY ?`, [password]),
    `GRANT RELOAD, PROCESS, ${monitor} ON *.* TO ${name}`,
    hasRole ? `GRANT SHOW_ROUTINE ON *.* TO ${name}` : `GRANT SELECT ON mysql.proc TO ${name}`,
    ...grants,
  ]);
  return { password, from };
}

/** Whether the server holds off even the administrator; the copy sets that aside and puts it back. */
export async function isStrict({ version, rows }: Server): Promise<boolean> {
  if (version.flavour !== 'mysql') return false;
  const [row] = await rows('SELECT @@GLOBAL.super_read_only AS strict');
  return Number(row?.['strict']) === 1;
}

/** How the dump says where in the source's log it stands. */
const dialectOf = ({ flavour, number }: Version): 'mariadb' | 'source' | 'master' =>
  flavour === 'mariadb' ? 'mariadb' : number >= 80026 ? 'source' : 'master';

/** Once a copy is under way, neither its guest nor its replica is touched before it has ended. */
export async function copyByDump(
  ctx: Context,
  onSource: OnServer,
  onReplica: OnServer,
  names: readonly string[],
  admin: Login,
): Promise<void> {
  const { host, port } = sourceOf(ctx);
  const strict = await ctx.keep('super_read_only', () => onReplica(isStrict));
  const guest = await ctx.keep('guest', async () => {
    const from = await addressTowards(ctx, host);
    const made = await onSource((source) => newGuest(source, from, names));
    ctx.secret(made.password);
    return made;
  });
  ctx.secret(guest.password);
  const { dialect, bytes } = await onSource(async (source) => ({
    dialect: dialectOf(source.version),
    bytes: await bytesOf(source, names),
  }));
  const { stop } = await onReplica(({ version }) => Promise.resolve(wordsOf(version)));
  const { code, stderr } = await ctx.job(COPY, {
    args: [
      host,
      String(port),
      GUEST,
      dialect,
      socketOf(ctx.cluster, admin),
      optionText(admin.user),
      stop,
      strict ? '1' : '0',
      ...names,
    ],
    stdin: `${guest.password}\n${optionText(admin.password)}\n`,
    isRepeatable: true,
    onOutput: toldProgress(ctx, `copying ${names.join(', ')} from ${host}`, bytes),
  });
  await onSource(async (source) => source.script(await farewell(guest)));
  if (code === 0) return;
  throw new StepFailed(
    `Copying ${names.join(', ')} from ${host} to ${ctx.host.name} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
    { code, stderr },
    {
      hint: 'replication is left stopped, since the copy is not whole; mend the cause and run the resync again',
    },
  );
}

/** The node's own address on the way to `host`: the only one the guest may come from. */
export async function addressTowards(ctx: Context, host: string): Promise<string> {
  const { stdout } = await ctx.sh('ip -o route get "$1"', { args: [host], isLook: true });
  const address = /\bsrc (\S+)/.exec(stdout)?.[1];
  if (address !== undefined) return address;
  throw new StepFailed(
    `${ctx.host.name} has no way to ${host}`,
    {},
    { hint: 'mend the heartbeat network first' },
  );
}
