import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { zPath } from './_file.ts';
import { linesOf, must } from './_sh.ts';
import { account, zId, zUserName } from './_user.ts';

const zField = z.string().regex(/^[^:\r\n]*$/, { error: 'is one line without a colon' });
const zFieldPath = zPath.regex(/^[^:\r\n]*$/, { error: 'is one line without a colon' });
const zGroups = z
  .union([z.string(), z.array(z.string())])
  .transform((names) => (typeof names === 'string' ? names.split(',').map((name) => name.trim()) : names))
  .transform((names) => [...new Set(names.filter(Boolean))].sort())
  .refine((names) => names.every((name) => zUserName.safeParse(name).success), {
    error: 'must be names of groups',
  });

const params = z
  .strictObject({
    name: zUserName.describe('The user.'),
    state: z.enum(['present', 'absent']).default('present').describe('present or absent (default present).'),
    uid: zId.optional().describe('Number (default: as it is; of a new one the next that is free).'),
    group: z
      .union([zUserName, zId])
      .optional()
      .describe('Primary group: name or number (default: as it is; of a new one a group of its own name).'),
    groups: zGroups
      .optional()
      .describe('Further groups, a list or one text with commas; exactly these, unless `append`.'),
    append: z.boolean().default(false).describe('Groups it is in besides stay (default false).'),
    shell: zFieldPath.optional().describe('Login shell (default: as it is).'),
    home: zFieldPath
      .transform((path) => path.replace(/(?<=.)\/+$/, ''))
      .optional()
      .describe('Home directory (default: as it is).'),
    create_home: z.boolean().default(true).describe('A new user gets its home directory (default true).'),
    move_home: z
      .boolean()
      .default(false)
      .describe('Where `home` is another than before, what is in it goes there (default false).'),
    comment: zField.optional().describe('Full name or description (GECOS; default: as it is).'),
    system: z.boolean().default(false).describe('A new one gets a number of the system (default false).'),
    remove: z
      .boolean()
      .default(false)
      .describe(
        'With `state: absent` its home and mail go too, which the operator confirms (default false).',
      ),
  })
  .refine(({ remove, state }) => !remove || state === 'absent', {
    error: '`remove` goes with `state: absent`',
  })
  .refine(({ name, state }) => name !== 'root' || state === 'present', {
    error: 'root stays',
    path: ['name'],
  });
type Given = z.output<typeof params>;

/** `$1` user, `$2` uid, `$3` primary group; further ones follow. */
const LOOK = `user=$1 uid=$2 group=$3
shift 3
has() { command -v "$1" >/dev/null 2>&1; }
while IFS= read -r line; do
  name=\${line%%:*} number=\${line#*:*:}
  if [ "$name" = "$user" ]; then printf 'own\\t%s\\n' "$line"
  elif [ "\${number%%:*}" = "$uid" ]; then printf 'taken\\t%s\\n' "$name"; fi
done </etc/passwd
if has getent && getent passwd "$user" >/dev/null; then echo known; fi
gid() {
  if has getent; then getent group "$1" | cut -d: -f3; return; fi
  while IFS=: read -r name _ number _; do [ "$name" != "$1" ] && [ "$number" != "$1" ] || echo "$number"; done </etc/group
}
for one in "$user" "$group" "$@"; do [ -z "$one" ] || printf 'group\\t%s\\t%s\\n' "$one" "$(gid "$one")"; done
while IFS=: read -r name _ number members; do
  case ,$members, in *,"$user",*) printf 'in\\t%s\\t%s\\n' "$name" "$number" ;; esac
done </etc/group
exit 0`;

interface Now {
  readonly uid: number;
  readonly gid: number;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
  readonly groups: readonly string[];
}

interface Seen {
  readonly now: Now | undefined;
  readonly isElsewhere: boolean;
  readonly taken: string | undefined;
  /** name or number → number; undefined where there is no such group. */
  gidOf(group: string | number): number | undefined;
}

async function look(ctx: Context, { name, uid, group, groups = [] }: Given): Promise<Seen> {
  const args = [name, String(uid ?? '-'), String(group ?? ''), ...groups];
  const said = await must(ctx, 'the users cannot be read', LOOK, { args, isLook: true });
  const lines = linesOf(said).map((line) => line.split('\t'));
  const of = (word: string): string[][] => lines.filter(([key]) => key === word).map(([, ...rest]) => rest);
  const [own] = of('own')[0] ?? [];
  const [, , id, gid, comment = '', home = '', shell = ''] = own?.split(':') ?? [];
  // Being named in its primary group as well makes no difference.
  const inside = of('in').filter(([one = '', number]) => number !== gid || groups.includes(one));
  const gids = new Map(of('group').map(([key = '', number = '']) => [key, number]));
  return {
    now:
      own === undefined
        ? undefined
        : {
            uid: Number(id),
            gid: Number(gid),
            comment,
            home,
            shell,
            groups: inside.map(([one = '']) => one).sort(),
          },
    isElsewhere: own === undefined && lines.some(([key]) => key === 'known'),
    taken: of('taken')[0]?.[0],
    gidOf: (key) => (gids.get(String(key)) ? Number(gids.get(String(key))) : undefined),
  };
}

type Field = 'uid' | 'group' | 'groups' | 'shell' | 'home' | 'comment';

/** What of a user is to be another: field → before and after. */
function differing(given: Given, now: Now, seen: Seen): ReadonlyMap<Field, readonly [string, string]> {
  const groups =
    given.groups && (given.append ? [...new Set([...now.groups, ...given.groups])].sort() : given.groups);
  const pairs: readonly (readonly [Field, string, string | undefined])[] = [
    ['uid', String(now.uid), given.uid === undefined ? undefined : String(given.uid)],
    ['group', String(now.gid), given.group === undefined ? undefined : String(seen.gidOf(given.group))],
    ['groups', now.groups.join(','), groups?.join(',')],
    ['shell', now.shell, given.shell],
    ['home', now.home, given.home],
    ['comment', now.comment, given.comment],
  ];
  return new Map(
    pairs.flatMap(([field, before, after]) =>
      after === undefined || before === after ? [] : [[field, [before, after]] as const],
    ),
  );
}

function refuse(ctx: Context, given: Given, seen: Seen): void {
  const node = ctx.host.name;
  const { name, uid, group, groups = [] } = given;
  if (seen.isElsewhere) throw new StepFailed(`user ${name} of ${node} is not in /etc/passwd, but elsewhere`);
  if (given.state === 'absent') {
    if (seen.now?.uid === 0) throw new StepFailed(`${name} is root by another name, and stays`);
    return;
  }
  if (uid !== undefined && uid !== seen.now?.uid && seen.taken !== undefined)
    throw new StepFailed(`uid ${uid} of ${node} belongs to user ${seen.taken}`);
  for (const one of [...(group === undefined ? [] : [group]), ...groups])
    if (seen.gidOf(one) === undefined) throw new StepFailed(`${node} has no group ${one}`);
}

async function check(ctx: Context, given: Given): Promise<Checked> {
  const seen = await look(ctx, given);
  const { now } = seen;
  const { name, state: wanted } = given;
  refuse(ctx, given, seen);
  const changes: Change[] = [];
  if ((now !== undefined) !== (wanted === 'present'))
    changes.push({ what: `user ${name}`, before: now ? 'present' : 'absent', after: wanted });
  else if (now !== undefined)
    for (const [field, [before, after]] of differing(given, now, seen))
      changes.push({ what: `${field} of user ${name}`, before, after });
  if (!now) return { changes, result: { name } };
  const { uid, gid, home, shell, comment, groups } = now;
  return { changes, result: { name, uid, gid, home, shell, comment, groups: [...groups] } };
}

function addWords(given: Given, { gidOf }: Seen): string[] {
  const { name, uid, groups = [], shell, home, comment } = given;
  // A group of this name may be there already: useradd would not take it of itself.
  const group = given.group ?? (gidOf(name) === undefined ? undefined : name);
  const option = (word: string, value: string | number | undefined): string[] =>
    value === undefined || value === '' ? [] : [word, String(value)];
  return [
    'useradd',
    ...option('-u', uid),
    ...option('-g', group),
    ...option('-G', groups.join(',')),
    ...option('-s', shell),
    ...option('-d', home),
    ...option('-c', comment),
    ...(given.system ? ['-r'] : []),
    given.create_home ? '-m' : '-M',
    name,
  ];
}

function changeWords({ name, move_home: isMoved }: Given, fields: ReturnType<typeof differing>): string[] {
  const options = { uid: '-u', group: '-g', groups: '-G', shell: '-s', home: '-d', comment: '-c' } as const;
  const words = [...fields].flatMap(([field, [, after]]) => [options[field], after]);
  return ['usermod', ...words, ...(isMoved && fields.has('home') ? ['-m'] : []), name];
}

export default state({
  summary:
    'A user of the node is there or gone; its groups, home, shell. Its password is a matter of user_password.',
  source: 'useradd(8), usermod(8), userdel(8), passwd(5), group(5)',
  params,
  shorthand: 'name',
  examples: `
- user: { name: backup, groups: [dba], append: true, shell: /bin/bash, comment: Backups }
- user: { name: old, state: absent }
`,
  returns: {
    name: z.string().meta({ isLasting: true }).describe('the user'),
    uid: z.int().optional().describe('its number, where it is there'),
    gid: z.int().optional().describe('number of its primary group'),
    home: z.string().optional().describe('home directory'),
    shell: z.string().optional().describe('login shell'),
    comment: z.string().optional().describe('full name or description'),
    groups: z.array(z.string()).optional().describe('further groups'),
  },
  destroys: ({ name, state: wanted, remove }) =>
    wanted === 'absent' && remove ? `the home directory and the mail of user ${name}` : undefined,
  check,
  async apply(ctx, given) {
    const { name } = given;
    const seen = await look(ctx, given);
    refuse(ctx, given, seen);
    if (given.state === 'absent')
      await account(ctx, `user ${name} was not removed`, ['userdel', ...(given.remove ? ['-r'] : []), name]);
    else if (!seen.now) await account(ctx, `user ${name} was not made`, addWords(given, seen));
    else
      await account(
        ctx,
        `user ${name} was not changed`,
        changeWords(given, differing(given, seen.now, seen)),
      );
    return undefined;
  },
});
