import { basename } from 'node:path';
import { z } from 'zod';
import { state } from '../core/module.ts';
import type { Context } from '../core/module.ts';
import { fileParams, returnsOfFile, zPath } from './_file.ts';
import type { Wanted } from './_file.ts';
import { renderLocal } from './_local.ts';
import { applyFiles, checkFiles } from './_place.ts';
import { splitWords } from './_sh.ts';

const NEWLINES = { lf: '\n', crlf: '\r\n', cr: '\r' } as const;

const params = z.strictObject({
  src: z
    .string()
    .meta({ localFile: true, template: true })
    .describe('Handlebars template on the jump host: beside the playbook or in templates/.'),
  dest: zPath.describe(
    'Path of the file on the node; a path that ends in / is a directory, the file is named after `src` without .hbs.',
  ),
  ...fileParams,
  force: z.boolean().default(true).describe('false: only where there is no file yet (default true).'),
  follow: z
    .boolean()
    .default(false)
    .describe('Where `dest` is a link, write the file it points to (default false: the link is replaced).'),
  newline: z
    .enum(['lf', 'crlf', 'cr'])
    .default('lf')
    .describe('Line ends of the file: lf, crlf or cr (default lf).'),
});

async function wantedOf(ctx: Context, given: z.output<typeof params>): Promise<Wanted> {
  const rendered = (await renderLocal(ctx, given.src)).replaceAll(/\r\n?|\n/g, NEWLINES[given.newline]);
  return {
    ...given,
    path: given.dest.endsWith('/')
      ? given.dest + basename(given.src).replace(/\.(hbs|handlebars)$/, '')
      : given.dest,
    content: Buffer.from(rendered),
    isFollowed: given.follow,
    isBackedUp: given.backup,
    validate: given.validate === undefined ? undefined : splitWords(given.validate),
  };
}

export default state({
  summary: 'Renders a Handlebars template into a file of the node; validated before it is swapped in.',
  source: 'docs/language.md (Values and conditions), stat(1), rename(2)',
  params,
  examples: `
- template:
    src: keepalived.conf.hbs
    dest: /etc/keepalived/keepalived.conf
    mode: '0640'
    backup: true
    validate: keepalived -t -f %s
  notify: restart keepalived
`,
  returns: returnsOfFile,
  async check(ctx, given) {
    return checkFiles(ctx, [await wantedOf(ctx, given)], given.force);
  },
  async apply(ctx, given, found) {
    return applyFiles(ctx, [await wantedOf(ctx, given)], found);
  },
});
