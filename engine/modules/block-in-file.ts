import { z } from 'zod';
import { state } from '../core/module.ts';
import { applyEdit, checkEdit, insertionAt } from './_edit.ts';
import type { Edit } from './_edit.ts';
import { fileParams, returnsOfFile, zPath } from './_file.ts';

const zWord = z.string().regex(/^[^\r\n]*$/, { error: 'is one line' });

const params = z
  .strictObject({
    path: zPath.describe('File on the node; where it is a link, what it points to.'),
    block: z.string().default('').describe('The lines; none is the same as `state: absent`.'),
    marker: z
      .string()
      .regex(/^[^\r\n]*\{mark\}[^\r\n]*$/, { error: 'is one line with {mark} in it' })
      .default('# {mark} DRILLBOOK MANAGED BLOCK')
      .describe(
        'The line above and below; {mark} becomes BEGIN and END. Several blocks in one file need a marker each.',
      ),
    marker_begin: zWord.default('BEGIN').describe('What {mark} becomes above (default BEGIN).'),
    marker_end: zWord.default('END').describe('What {mark} becomes below (default END).'),
    state: z.enum(['present', 'absent']).default('present').describe('present or absent (default present).'),
    insertafter: z
      .string()
      .optional()
      .describe('Where a new block goes: after the last line that matches, or EOF (default EOF).'),
    insertbefore: z
      .string()
      .optional()
      .describe('Where a new block goes: before the last line that matches, or BOF.'),
    create: z.boolean().default(false).describe('Make the file when it is missing (default false).'),
    ...fileParams,
  })
  .refine((given) => given.insertafter === undefined || given.insertbefore === undefined, {
    error: 'give `insertafter` or `insertbefore`, not both',
  })
  .refine((given) => given.marker_begin !== given.marker_end, {
    error: '`marker_begin` and `marker_end` must differ',
  });

type Given = z.output<typeof params>;

const isRemoval = (given: Given): boolean => given.state === 'absent' || given.block.trim() === '';

const editOf =
  (given: Given): Edit =>
  (lines, text) => {
    const begin = text(given.marker.replace('{mark}', () => given.marker_begin));
    const end = text(given.marker.replace('{mark}', () => given.marker_end));
    const block = isRemoval(given) ? [] : [begin, ...text(given.block).replace(/\n+$/, '').split('\n'), end];
    // The last of both: one that never ended must not take what follows it along.
    const last = lines.lastIndexOf(end);
    const first = last < 0 ? -1 : lines.lastIndexOf(begin, last);
    if (first >= 0 && last > first) return lines.toSpliced(first, last - first + 1, ...block);
    if (block.length === 0) return lines;
    return lines.toSpliced(insertionAt(lines, text, given), 0, ...block);
  };

export default state({
  summary: 'Some lines of a text file between two marker lines; all else stays.',
  source: 'stat(1), rename(2)',
  params,
  examples: `
- block_in_file:
    path: /etc/hosts
    marker: '# {mark} the pair'
    block: |
      10.0.0.1 dbk1
      10.0.0.2 dbk2
- block_in_file: { path: /etc/hosts, marker: '# {mark} the pair', state: absent }
`,
  returns: returnsOfFile,
  check: (ctx, given) => checkEdit(ctx, given, editOf(given), isRemoval(given)),
  apply: (ctx, given, found) => applyEdit(ctx, given, editOf(given), found),
});
