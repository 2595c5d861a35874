import { basename, join, relative } from 'node:path';
import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context, Result } from '../core/module.ts';
import { attributeChanges, fileParams, lookAt, returnsOfFile, zPath } from './_file.ts';
import type { Found, Wanted } from './_file.ts';
import { makeDirectories } from './_directory.ts';
import { cannotRead } from './_local.ts';
import { zMode } from './_mode.ts';
import { applyFiles, checkFiles } from './_place.ts';
import { splitWords } from './_sh.ts';

const params = z
  .strictObject({
    src: z
      .string()
      .meta({ localFile: true })
      .optional()
      .describe(
        'File or directory on the jump host. Of a directory that ends in / only what is in it is copied.',
      ),
    content: z.string().optional().describe('The text of the file, in place of `src`.'),
    dest: zPath.describe('Path on the node; one that ends in / is a directory, the file keeps its name.'),
    ...fileParams,
    directory_mode: zMode
      .optional()
      .describe("Access rights of directories that are copied, as '0755' (default: 0777 less umask)."),
    force: z.boolean().default(true).describe('false: only where there is no file yet (default true).'),
    follow: z
      .boolean()
      .default(false)
      .describe('Where `dest` is a link, write the file it points to (default false: the link is replaced).'),
  })
  .refine((given) => (given.src === undefined) !== (given.content === undefined), {
    error: 'give either `src` or `content`',
  })
  .refine((given) => given.content === undefined || !given.dest.endsWith('/'), {
    error: '`dest` must name a file when `content` is given',
  });

type Given = z.output<typeof params>;

interface Tree {
  /** The directory on the node that becomes as the one here; undefined of a single file. */
  readonly root?: string;
  readonly directories: readonly string[];
  readonly files: readonly Wanted[];
}

function treeIn(ctx: Context, path: string, failed: (cause: unknown) => never) {
  try {
    return ctx.tree(path);
  } catch (cause) {
    return failed(cause);
  }
}

/** Everything that shall be on the node; directories before what is in them. */
async function treeOf(ctx: Context, given: Given): Promise<Tree> {
  const wanted = (path: string, content: Uint8Array, isRoomMade = false): Wanted => ({
    ...given,
    path,
    content,
    isRoomMade,
    isFollowed: given.follow,
    isBackedUp: given.backup,
    validate: given.validate === undefined ? undefined : splitWords(given.validate),
  });
  if (given.src === undefined)
    return { directories: [], files: [wanted(given.dest, Buffer.from(given.content ?? ''))] };
  const source = ctx.local(given.src);
  const failed = (cause: unknown): never => cannotRead(source, cause);
  const read = (path: string): Promise<Uint8Array> => ctx.read(path).catch(failed);
  const entries = treeIn(ctx, source, failed);
  if (!entries) {
    const path = given.dest.endsWith('/') ? given.dest + basename(source) : given.dest;
    const directories = given.dest.endsWith('/') ? [given.dest.replace(/\/+$/, '') || '/'] : [];
    return { directories, files: [wanted(path, await read(source), directories.length > 0)] };
  }
  const root = given.src.endsWith('/') ? given.dest : join(given.dest, basename(source));
  const top = root.replace(/(.)\/+$/, '$1');
  const directories = [top];
  const files: Wanted[] = [];
  for (const { path, isFolder } of entries) {
    const there = join(root, relative(source, path));
    if (isFolder) directories.push(there);
    else files.push(wanted(there, await read(path), true));
  }
  return { root: top, directories, files };
}

const directoryChanges = (path: string, given: Given, found: Found): Change[] => {
  if (found.kind === 'absent') return [{ what: `directory ${path}`, after: 'present' }];
  if (found.kind !== 'directory') throw new StepFailed(`${path} is no directory`);
  if (given.directory_mode === undefined) return [];
  return attributeChanges({ path, mode: given.directory_mode }, found);
};

/** The tree, and what is at its directories now. */
async function settle(ctx: Context, given: Given): Promise<Tree & { readonly found: readonly Found[] }> {
  const tree = await treeOf(ctx, given);
  const found =
    tree.directories.length === 0
      ? []
      : await lookAt(
          ctx,
          tree.directories.map((path) => ({ path, isFollowed: true })),
        );
  return { ...tree, found };
}

const changesOf = (given: Given, tree: Tree, found: readonly Found[]): Change[] =>
  tree.directories.flatMap((path, i) => {
    const at = found[i];
    return at === undefined ? [] : directoryChanges(path, given, at);
  });

/** Of a directory: what is told of each of its files. */
function resultOf({ root }: Tree, files: Result | undefined, kind: Found['kind']): Result {
  if (root === undefined) return files ?? {};
  return { path: root, dest: root, state: kind, files: files?.['files'] ?? (files ? [files] : []) };
}

/** What `checkFiles` made of the files, for `applyFiles`, where more than files was looked at. */
const looks = new WeakMap<Checked, Checked>();

export default state({
  summary: 'Copies a file or directory of the jump host, or a given text, to the node.',
  source: 'stat(1), chmod(1), chown(1), rename(2)',
  params,
  examples: `
- copy: { src: files/logo.png, dest: /srv/www/logo.png, owner: root, mode: '0644' }
- copy:
    content: |
      nameserver 10.0.0.1
    dest: /etc/resolv.conf
    backup: true
- copy: { src: conf.d/, dest: /etc/app/conf.d, directory_mode: '0750', mode: '0640' }
`,
  returns: {
    ...returnsOfFile,
    files: z
      .array(z.object(returnsOfFile))
      .optional()
      .describe('of a directory: the same for each of its files'),
  },
  async check(ctx, given) {
    const tree = await settle(ctx, given);
    const made = changesOf(given, tree, tree.found);
    const files = tree.files.length === 0 ? { changes: [] } : await checkFiles(ctx, tree.files, given.force);
    const result = resultOf(tree, files.result, tree.found[0]?.kind ?? 'absent');
    if (made.length === 0 && result === files.result) return files;
    const checked = { changes: [...made, ...files.changes], result };
    looks.set(checked, files);
    return checked;
  },
  async apply(ctx, given, checked): Promise<Checked> {
    const tree = await settle(ctx, given);
    const missing = tree.directories.filter((_, i) => tree.found[i]?.kind === 'absent');
    const differing = tree.directories.filter((path, i) => {
      const at = tree.found[i];
      return at !== undefined && directoryChanges(path, given, at).length > 0;
    });
    if (differing.length > 0 || missing.length > 0) {
      await makeDirectories(ctx, differing, {
        mode: given.directory_mode,
        owner: given.owner,
        group: given.group,
      });
    }
    const files =
      tree.files.length === 0
        ? { changes: [] }
        : await applyFiles(ctx, tree.files, looks.get(checked) ?? checked);
    return { ...files, result: resultOf(tree, files.result, 'directory') };
  },
});
