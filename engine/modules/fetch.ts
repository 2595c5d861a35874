import { createHash } from 'node:crypto';
import { basename, dirname, resolve } from 'node:path/posix';
import { z } from 'zod';
import { checkRoom, pathBelow, readBelow, writeBelow } from '../core/below.ts';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Checked, Context } from '../core/module.ts';
import { replaceFile } from '../secrets/replace.ts';
import { isSameContent, lookAt, zPath } from './_file.ts';

const params = z.strictObject({
  src: zPath
    .refine((path) => !path.split('/').includes('..'), { error: 'must not hold ..' })
    .refine((path) => !path.endsWith('/'), { error: 'is a file, not a directory' })
    .describe('File on the node; where it is a link, what it points to.'),
  dest: z
    .string()
    .min(1)
    .describe(
      'Folder on the jump host: the file comes to DEST/HOST/SRC. A relative one from where drillbook was started.',
    ),
  flat: z
    .boolean()
    .default(false)
    .describe('`dest` is the file itself, or ends in / and the file comes straight into it (default false).'),
  fail_on_missing: z
    .boolean()
    .default(true)
    .describe('A file that is not there is a failure, and no matter otherwise (default true).'),
});
type Given = z.output<typeof params>;

interface Target {
  readonly root: string;
  readonly names: readonly string[];
}

async function targetOf(ctx: Context, { src, dest, flat }: Given): Promise<Target> {
  // A resume may be started somewhere else.
  const at = await ctx.keep('dest', () => Promise.resolve(resolve(dest)));
  if (!flat)
    return {
      root: at,
      names: [ctx.host.name, ...src.split('/').filter((name) => name !== '' && name !== '.')],
    };
  return dest.endsWith('/')
    ? { root: at, names: [basename(src)] }
    : { root: dirname(at), names: [basename(at)] };
}

async function look(ctx: Context, { src, fail_on_missing: isNeeded }: Given) {
  const [found] = await lookAt(ctx, [{ path: src, isFollowed: true }]);
  const node = ctx.host.name;
  if (!found || (found.kind === 'absent' && isNeeded)) throw new StepFailed(`there is no ${src} on ${node}`);
  if (found.kind !== 'file' && found.kind !== 'absent')
    throw new StepFailed(
      `${src} on ${node} is no file, but a ${found.kind === 'directory' ? 'directory' : 'device, pipe or socket'}`,
    );
  return found;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const resultOf = (
  ctx: Context,
  { src }: Given,
  { root, names }: Target,
  content: Uint8Array | undefined,
) => ({
  src,
  dest: pathBelow(root, names),
  host: ctx.host.name,
  ...(content === undefined ? {} : { checksum: sha256(content), size: content.length }),
});

async function check(ctx: Context, given: Given): Promise<Checked> {
  const target = await targetOf(ctx, given);
  const { root, names } = target;
  const found = await look(ctx, given);
  const now = readBelow(root, names);
  const result = resultOf(ctx, given, target, now);
  if (found.kind === 'absent' || (now !== undefined && isSameContent(found, now)))
    return { changes: [], result };
  checkRoom(root, names);
  // Never what is in it: it may be anything, a key too.
  const before = now === undefined ? 'absent' : `${now.length} B`;
  return {
    changes: [
      { what: `${result.dest} on the jump host`, before, after: `${found.size} B of ${ctx.host.name}` },
    ],
    result,
  };
}

export default state({
  summary:
    'A file of the node is on the jump host too, as it is there; written only where it differs, for its owner alone.',
  source: 'stat(1), sha256sum(1), rename(2)',
  params,
  examples: `
- name: Configurations of both nodes, for the record
  fetch: { src: /etc/drbd.d/global_common.conf, dest: collected }
- fetch: { src: /var/log/setup.log, dest: 'logs/{{host.name}}.log', flat: true, fail_on_missing: false }
`,
  returns: {
    src: z.string().meta({ isLasting: true }).describe('file on the node'),
    dest: z.string().meta({ isLasting: true }).describe('file on the jump host'),
    host: z.string().meta({ isLasting: true }).describe('the node, as the inventory names it'),
    checksum: z.string().optional().describe('SHA-256 of what is on the jump host'),
    size: z.int().optional().describe('its size in bytes'),
  },
  check,
  async apply(ctx, given) {
    const target = await targetOf(ctx, given);
    const content = await ctx.get(given.src);
    writeBelow(target.root, target.names, (path) => replaceFile(path, content));
    // A file that grows all the time is fetched as it was.
    return { changes: [], result: resultOf(ctx, given, target, readBelow(target.root, target.names)) };
  },
});
