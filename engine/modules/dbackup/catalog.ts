import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Change, Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { isTypable, NOT_TYPABLE } from '../_typable.ts';
import { programs } from './_paths.ts';

const params = z.strictObject({
  host: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9.:_-]*$/, { error: 'is no address' })
    .max(255)
    .default('127.0.0.1')
    .describe('Address of the database; `localhost` is its unix socket'),
  port: z.int().min(1).max(65535).default(3306).describe('Port of the database'),
  user: z.string().min(1).refine(isTypable, NOT_TYPABLE).default('root').describe('Account'),
  password: z
    .string()
    .refine(isTypable, NOT_TYPABLE)
    .default('')
    .describe('Its password')
    .meta({ secret: true }),
});
type Params = z.output<typeof params>;

const VAR = '/var/opt/scutech/dbackup3';
/** Written by an older release; while it exists its password is in use (4.2). */
const OLD = `${VAR}/backupd/database-conf.d/mysql.conf`;
const GLOBAL = `${VAR}/common/mysql.conf`;

/** `$1` folder of the programs, `$2` old file, `$3` present file. The wanted password's line comes on standard input, so that the stored one never leaves the node. */
const LOOK = `line=$(cat)
echo @db; "$1/config" db list -n common || exit
echo @queue; "$1/config" queue list -n alert || exit
echo @old; [ ! -e "$2" ] || echo there
echo @password
[ ! -e "$3" ] || { printf '%s\\n' "$line" | grep -qxF -f /dev/stdin "$3" && echo same || echo other; }`;

type Listed = Readonly<Record<string, string>>;

const pairs = (text: string): Listed =>
  Object.fromEntries(
    [...text.matchAll(/^(\w+):[ \t]*(.*)$/gm)].map(([, key = '', value = '']) => [key, value.trim()]),
  );

interface Look {
  readonly stores: Readonly<Record<'Catalog' | 'queue', Listed>>;
  readonly isOldThere: boolean;
  readonly isPasswordOther: boolean;
}

async function look(ctx: Context, { password }: Params): Promise<Look> {
  const stored = `password="${password.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  const { code, stdout, stderr } = await ctx.sh(LOOK, { args: [programs(ctx), OLD, GLOBAL], stdin: stored });
  if (code !== 0)
    throw new StepFailed(
      `The Catalog's settings cannot be listed on ${ctx.host.name}: ${stderr.trim()}`,
      { code },
      {
        hint: 'is dbackup3-backupd installed? (playbook install)',
      },
    );
  const part = (name: string): string => new RegExp(`^@${name}\\n([^@]*)`, 'm').exec(stdout)?.[1] ?? '';
  return {
    stores: { Catalog: pairs(part('db')), queue: pairs(part('queue')) },
    isOldThere: part('old').trim() === 'there',
    isPasswordOther: part('password').trim() === 'other',
  };
}

function changesOf(now: Look, params: Params): readonly Change[] {
  const wanted = { connector: 'mysql', host: params.host, port: String(params.port), user: params.user };
  const changes: Change[] = [];
  for (const [store, listed] of Object.entries(now.stores)) {
    for (const [key, after] of Object.entries(wanted)) {
      const before = listed[key] ?? '';
      if (before !== after) changes.push({ what: `${key} of the ${store}`, before, after });
    }
  }
  if (now.isPasswordOther)
    changes.push({ what: 'password of the Catalog', before: 'another', after: 'as given' });
  if (now.isOldThere) changes.push({ what: OLD, before: 'present', after: 'absent' });
  return changes;
}

async function check(ctx: Context, params: Params): Promise<Checked> {
  const now = await look(ctx, params);
  const { Catalog } = now.stores;
  const { connector = '', host = '', port = '', user = '' } = Catalog;
  return { changes: changesOf(now, params), result: { connector, host, port, user } };
}

export default state({
  summary:
    "The Catalog and the queue are in this MySQL database; answers backupd's dialogue, and does not restart it",
  source: 'DBackup HA guide V8.0-9, 4.2',
  params,
  examples: `
- name: The Catalog is in the node's own database
  dbackup.catalog: { user: root, password: '{{catalog_password}}' }
`,
  returns: {
    connector: z.string().describe('sqlite or mysql'),
    host: z.string().describe('Address'),
    port: z.string().describe('Port'),
    user: z.string().describe('Account'),
  },
  check,
  async apply(ctx, params) {
    const { code, output } = await ctx.dialogue('/etc/init.d/dbackup3-backupd config mysql', [
      { prompt: /Do you want to delete it\?\s*\[y\/N\]\s*:\s*$/, answer: 'y', isOptional: true },
      { prompt: /MySQL host\s*\[[^\]]*\]\s*:\s*$/, answer: params.host },
      { prompt: /MySQL port\s*\[[^\]]*\]\s*:\s*$/, answer: String(params.port) },
      { prompt: /MySQL user\s*\[[^\]]*\]\s*:\s*$/, answer: params.user },
      { prompt: /MySQL password\s*:\s*$/, answer: params.password },
      // 4.2: a restart comes later, when both nodes are configured.
      { prompt: /restart backupd\?\s*\[Y\]\s*:\s*$/, answer: 'N', isOptional: true },
    ]);
    const refused = /connectivity failed: *(.*)/.exec(output)?.[1];
    if (refused !== undefined || code !== 0)
      throw new StepFailed(
        `backupd on ${ctx.host.name} cannot reach the database: ${refused ?? output.trim().split('\n').at(-1) ?? ''}`,
        { code, output },
        {
          hint: 'nothing was stored; see that the database runs and that the account may log in',
        },
      );
    return undefined;
  },
});
