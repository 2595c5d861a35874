import { z } from 'zod';
import { state } from '../core/module.ts';
import { applyEdit, checkEdit, insertionAt } from './_edit.ts';
import type { Edit } from './_edit.ts';
import { fileParams, returnsOfFile, zPath } from './_file.ts';
import { regexp } from './_regexp.ts';

const params = z
  .strictObject({
    path: zPath.describe('File on the node; where it is a link, what it points to.'),
    line: z
      .string()
      .regex(/^[^\r\n]*$/, { error: 'is one line; block_in_file takes several' })
      .optional()
      .describe('The line.'),
    regexp: z
      .string()
      .optional()
      .describe(
        'JavaScript regular expression; the last line it matches becomes `line`, or all such lines go with `state: absent`.',
      ),
    state: z.enum(['present', 'absent']).default('present').describe('present or absent (default present).'),
    insertafter: z
      .string()
      .optional()
      .describe('Where a new line goes: after the last line that matches, or EOF (default EOF).'),
    insertbefore: z
      .string()
      .optional()
      .describe('Where a new line goes: before the last line that matches, or BOF.'),
    backrefs: z
      .boolean()
      .default(false)
      .describe(
        '\\1 and \\g<name> in `line` are what `regexp` caught; where nothing matches the file stays (default false).',
      ),
    create: z.boolean().default(false).describe('Make the file when it is missing (default false).'),
    ...fileParams,
  })
  .refine((given) => given.state === 'absent' || given.line !== undefined, {
    error: '`state: present` wants a `line`',
  })
  .refine((given) => (given.regexp ?? given.line) !== undefined, { error: 'give `line` or `regexp`' })
  .refine((given) => !given.backrefs || given.regexp !== undefined, { error: '`backrefs` wants a `regexp`' })
  .refine((given) => given.insertafter === undefined || given.insertbefore === undefined, {
    error: 'give `insertafter` or `insertbefore`, not both',
  });

type Given = z.output<typeof params>;

const expand = (line: string, match: RegExpExecArray): string =>
  line.replaceAll(/\\(?:(\d)|g<(\w+)>|\\)/g, (whole, number?: string, name?: string) => {
    if (number !== undefined) return match[Number(number)] ?? '';
    if (name !== undefined) return match.groups?.[name] ?? match[Number(name)] ?? '';
    return whole.slice(1);
  });

const editOf =
  (given: Given): Edit =>
  (lines, text) => {
    const wanted = text(given.line ?? '');
    const matcher = given.regexp === undefined ? undefined : regexp(text(given.regexp), 'regexp');
    if (given.state === 'absent')
      return lines.filter((line) => (matcher ? !matcher.test(line) : line !== wanted));
    const at = lines.findLastIndex((line) => (matcher ? matcher.test(line) : line === wanted));
    if (at >= 0) {
      const match = given.backrefs ? matcher?.exec(lines[at] ?? '') : undefined;
      return lines.with(at, match ? expand(wanted, match) : wanted);
    }
    if (given.backrefs || lines.includes(wanted)) return lines;
    return lines.toSpliced(insertionAt(lines, text, given), 0, wanted);
  };

export default state({
  summary: 'One line of a text file: there, changed or gone; all else stays.',
  source: 'stat(1), rename(2), regex(7)',
  params,
  examples: `
- line_in_file: { path: /etc/sysctl.conf, regexp: '^#?net.ipv4.ip_nonlocal_bind', line: net.ipv4.ip_nonlocal_bind = 1, backup: true }
- line_in_file: { path: /etc/sudoers.d/backup, line: 'backup ALL=(root) NOPASSWD: /usr/sbin/hactl', create: true, mode: '0440', validate: visudo -cf %s }
- line_in_file: { path: /etc/hosts, regexp: ' old-node$', state: absent }
`,
  returns: returnsOfFile,
  check: (ctx, given) => checkEdit(ctx, given, editOf(given), given.state === 'absent'),
  apply: (ctx, given, found) => applyEdit(ctx, given, editOf(given), found),
});
