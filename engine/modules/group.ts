import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { linesOf, must } from './_sh.ts';
import { account, zId, zUserName } from './_user.ts';

const params = z.strictObject({
  name: zUserName.describe('The group.'),
  state: z.enum(['present', 'absent']).default('present').describe('present or absent (default present).'),
  gid: zId.optional().describe('Its number (default: as it is; of a new one the next that is free).'),
  system: z.boolean().default(false).describe('A new one gets a number of the system (default false).'),
});
type Given = z.output<typeof params>;

const LOOK = `while IFS= read -r line; do
  case $line in "$1":*) printf 'own %s\\n' "$line" ;; *:*:"$2":*) printf 'taken %s\\n' "\${line%%:*}" ;; esac
done </etc/group
while IFS=: read -r name _ _ gid _; do printf 'user %s %s\\n' "$gid" "$name"; done </etc/passwd
if command -v getent >/dev/null 2>&1 && getent group "$1" >/dev/null; then echo known; fi
exit 0`;

async function check(ctx: Context, { name, state: wanted, gid }: Given): Promise<Checked> {
  const said = await must(ctx, 'the groups cannot be read', LOOK, {
    args: [name, gid === undefined ? '-' : String(gid)],
    isLook: true,
  });
  const lines = linesOf(said);
  const rest = (word: string): string | undefined =>
    lines.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1);
  const own = rest('own');
  const node = ctx.host.name;
  if (own === undefined && lines.includes('known') && (wanted === 'absent' || gid !== undefined))
    throw new StepFailed(`group ${name} of ${node} is not in /etc/group, but elsewhere`);
  const isThere = own !== undefined || lines.includes('known');
  const now = own === undefined ? undefined : Number(own.split(':')[2]);
  const changes: Change[] = [];
  if (isThere !== (wanted === 'present'))
    changes.push({ what: `group ${name}`, before: isThere ? 'present' : 'absent', after: wanted });
  else if (wanted === 'present' && gid !== undefined && now !== gid)
    changes.push({ what: `gid of group ${name}`, before: String(now), after: String(gid) });
  const taken = rest('taken');
  if (wanted === 'present' && changes.length > 0 && taken !== undefined)
    throw new StepFailed(`gid ${gid} of ${node} belongs to group ${taken}`);
  const member = wanted === 'absent' && now !== undefined ? rest(`user ${now}`) : undefined;
  if (member !== undefined) throw new StepFailed(`${name} is the primary group of user ${member}`);
  return { changes, result: { name, ...(now === undefined ? {} : { gid: now }) } };
}

export default state({
  summary: 'A group is there or gone.',
  source: 'groupadd(8), groupmod(8), groupdel(8), group(5)',
  params,
  shorthand: 'name',
  examples: `
- group: { name: dba, gid: 1200 }
- group: { name: old, state: absent }
`,
  returns: {
    name: z.string().meta({ isLasting: true }).describe('the group'),
    gid: z.int().optional().describe('its number, where it is there'),
  },
  check,
  async apply(ctx, { name, state: wanted, gid, system }, { changes }) {
    const number = gid === undefined ? [] : ['-g', String(gid)];
    const isNew = changes.some(({ before }) => before === 'absent');
    if (wanted === 'absent') await account(ctx, `group ${name} was not removed`, ['groupdel', name]);
    else if (isNew)
      await account(ctx, `group ${name} was not made`, [
        'groupadd',
        ...number,
        ...(system ? ['-r'] : []),
        name,
      ]);
    else await account(ctx, `group ${name} was not changed`, ['groupmod', ...number, name]);
    return undefined;
  },
});
