import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { applyEdit, checkEdit } from './_edit.ts';
import type { Edit } from './_edit.ts';
import { zPath } from './_file.ts';
import { lastWords, linesOf, must } from './_sh.ts';

const params = z
  .strictObject({
    name: z
      .string()
      .regex(/^[\w-]+(?:[./][\w:@-]+)+$/, { error: 'must be a name such as net.ipv4.ip_forward' })
      .describe('The parameter, with dots or slashes as sysctl.d(5) has it.'),
    value: z
      .union([z.string().regex(/^[^\r\n]*\S[^\r\n]*$/, { error: 'is one line' }), z.int(), z.boolean()])
      .transform((value) => (typeof value === 'string' ? tidy(value) : String(Number(value))))
      .optional()
      .describe('Its value; wanted but for `state: absent`.'),
    state: z
      .enum(['present', 'absent'])
      .default('present')
      .describe('present; absent: not in the file, the running kernel keeps what it has (default present).'),
    sysctl_file: zPath
      .default('/etc/sysctl.d/90-drillbook.conf')
      .describe('Where it stands for the next boot (default /etc/sysctl.d/90-drillbook.conf).'),
    sysctl_set: z
      .boolean()
      .default(true)
      .describe('The running kernel gets it too, before the file does (default true).'),
  })
  .refine(({ state, value }) => state === 'absent' || value !== undefined, {
    error: '`state: present` wants a `value`',
  });
type Given = z.output<typeof params>;

/** Values of several numbers are told with tabs between. */
const tidy = (value: string): string => value.trim().split(/\s+/).join(' ');

/** Below /proc/sys: whichever separator comes first parts directories, the other one is a dot in a name (sysctl.d(5)). */
const pathOf = (name: string): string =>
  /[./]/.exec(name)?.[0] === '/'
    ? name
    : name.replaceAll(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));

/** Name and value that a line gives; a leading `-` lets errors pass. */
function assignment(line: string): { readonly path: string; readonly value: string } | undefined {
  const [, name, value = ''] = /^\s*-?\s*([^#;=\s][^=\s]*)\s*=(.*)$/.exec(line) ?? [];
  return name === undefined ? undefined : { path: pathOf(name), value: tidy(value) };
}

const editOf =
  ({ name, value = '', state: wanted }: Given): Edit =>
  (lines) => {
    const path = pathOf(name);
    const isOurs = (line: string): boolean => assignment(line)?.path === path;
    if (wanted === 'absent') return lines.filter((line) => !isOurs(line));
    const at = lines.findLastIndex(isOurs);
    if (at < 0) return [...lines, `${name} = ${value}`];
    // The last one counts: those before it would only mislead.
    const isSame = assignment(lines[at] ?? '')?.value === value;
    return lines.flatMap((line, i) =>
      i === at ? (isSame ? line : `${name} = ${value}`) : isOurs(line) ? [] : line,
    );
  };

/** `$1` path below /proc/sys, `$2` its last part: the value now, and every line of sysctl.d(5) in which the part occurs. */
const LOOK = `at=/proc/sys/$1
if ! [ -e "$at" ]; then echo missing
elif value=$(cat "$at" 2>/dev/null); then printf 'value\\t%s\\n' "$(printf %s "$value" | tr '\\n\\t' '  ')"
else echo hidden; fi
[ -w "$at" ] || echo closed
for dir in /etc /run /usr/local/lib /usr/lib /lib; do
  for file in "$dir"/sysctl.d/*.conf; do
    [ -r "$file" ] || continue
    printf 'file\\t%s\\n' "$file"
    grep -F -e "$2" "$file" | while IFS= read -r line; do printf 'line\\t%s\\n' "$line"; done
  done
done
exit 0`;

interface Seen {
  /** Undefined where the kernel does not have it, or does not tell. */
  readonly value: string | undefined;
  readonly isMissing: boolean;
  readonly isClosed: boolean;
  /** What another file, read after ours at boot, makes of it. */
  readonly later: { readonly file: string; readonly value: string } | undefined;
}

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

async function look(ctx: Context, { name, sysctl_file: own }: Given): Promise<Seen> {
  const path = pathOf(name);
  const said = await must(ctx, `${name} cannot be read`, LOOK, {
    args: [path, baseName(path)],
    isLook: true,
  });
  const lines = linesOf(said);
  const value = lines.find((line) => line.startsWith('value\t'));
  const byName = new Map<string, { file: string; value: string | undefined }>();
  let current: { file: string; value: string | undefined } | undefined;
  for (const line of lines) {
    const [word, ...rest] = line.split('\t');
    const text = rest.join('\t');
    if (word === 'file') {
      current = { file: text, value: undefined };
      // Of files of one name only that of the first folder is read.
      if (!byName.has(baseName(text))) byName.set(baseName(text), current);
    } else if (word === 'line' && current) {
      const found = assignment(text);
      if (found?.path === path) current.value = found.value;
    }
  }
  const isRead = /^\/(etc|run|usr\/local\/lib|usr\/lib|lib)\/sysctl\.d\/[^/]+\.conf$/.test(own);
  const later = [...byName]
    .filter(([base, { value: set }]) => isRead && base > baseName(own) && set !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .at(-1)?.[1];
  return {
    value: value === undefined ? undefined : tidy(value.slice('value\t'.length)),
    isMissing: lines.includes('missing'),
    isClosed: lines.includes('closed'),
    later: later && { file: later.file, value: later.value ?? '' },
  };
}

const file = ({ sysctl_file: path, state: wanted }: Given) => ({
  path,
  backup: false,
  create: wanted === 'present',
});

async function check(ctx: Context, given: Given): Promise<Checked> {
  const { name, value, state: wanted, sysctl_set: isSet } = given;
  const seen = await look(ctx, given);
  const node = ctx.host.name;
  const changes: Change[] = [];
  if (wanted === 'present' && seen.later !== undefined && seen.later.value !== value)
    throw new StepFailed(
      `${seen.later.file} of ${node} sets ${name} to ${seen.later.value} at boot, after ${given.sysctl_file}`,
      {},
      { hint: `name that file in \`sysctl_file\`, or one that comes after it` },
    );
  if (wanted === 'present' && isSet && seen.value !== value) {
    if (seen.isMissing)
      throw new StepFailed(
        `the kernel of ${node} has no parameter ${name}`,
        {},
        { hint: 'its module may not be loaded; `sysctl_set: false` only writes the file' },
      );
    if (seen.isClosed)
      throw new StepFailed(`${name} cannot be set on ${node}: Permission denied or read-only`);
    changes.push({ what: `${name} of the kernel`, before: seen.value, after: value });
  }
  const written = await checkEdit(ctx, file(given), editOf(given), wanted === 'absent');
  return {
    changes: [...changes, ...written.changes],
    result: { name, ...(seen.value === undefined ? {} : { value: seen.value }) },
  };
}

export default state({
  summary: 'A parameter of the kernel has a value, now and after the next boot.',
  source: 'sysctl(8), sysctl.d(5), proc(5)',
  params,
  examples: `
- name: An address may be bound before it is here
  sysctl: { name: net.ipv4.ip_nonlocal_bind, value: 1 }
- sysctl: { name: vm.swappiness, state: absent }
`,
  returns: {
    name: z.string().meta({ isLasting: true }).describe('the parameter'),
    value: z.string().optional().describe('what the running kernel has'),
  },
  check,
  async apply(ctx, given, found) {
    const { name, value = '' } = given;
    // What the kernel does not take must not wait for the next boot.
    if (found.changes.some(({ what }) => what === `${name} of the kernel`)) {
      const said = await ctx.job('printf "%s\\n" "$2" >"/proc/sys/$1"', { args: [pathOf(name), value] });
      if (said.code !== 0)
        throw new StepFailed(
          `${name} was not set to ${value}: ${lastWords(said).replace(/^.*: /, '') || `exit code ${said.code}`}`,
        );
    }
    const edit = editOf(given);
    const written = await checkEdit(ctx, file(given), edit, given.state === 'absent');
    if (written.changes.length > 0) await applyEdit(ctx, file(given), edit, written);
    return undefined;
  },
});
