import { basename } from 'node:path';
import { z } from 'zod';
import { StepFailed, Unreachable } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { durationText, zDuration } from '../core/duration.ts';
import { APPLY_APT, APPLY_RPM, LOOK } from './_package-scripts.ts';
import { packageFiles } from './_package-file.ts';
import { packageProgress } from './_package-progress.ts';
import type { PackageFile } from './_package-file.ts';
import { lastLine, must } from './_sh.ts';

const list = z.union([
  z
    .string()
    .min(1)
    .transform((one) => [one]),
  z.array(z.string().min(1)).min(1),
]);

const params = z
  .strictObject({
    name: list
      .optional()
      .describe(
        'Name of a package, or a list; `name=version` holds it to that version, `name=1.2*` to those.',
      ),
    files: list
      .optional()
      .meta({ localFile: true })
      .describe(
        '.deb or .rpm files on the jump host, or globs: exactly their versions get installed, all in one transaction. No network is needed where the node has what they depend on.',
      ),
    state: z
      .enum(['present', 'absent', 'latest'])
      .default('present')
      .describe(
        'present: installed, in any version unless one is given; latest: the newest the repositories have; absent: removed (default present).',
      ),
    version: z.string().min(1).optional().describe('Exact version, of the one package in `name`.'),
    allow_downgrade: z
      .boolean()
      .default(false)
      .describe('An older version may replace a newer one (default false).'),
    allow_removal: z
      .boolean()
      .default(false)
      .describe('Other packages may be removed, where they conflict (default false; apt only).'),
    purge: z
      .boolean()
      .default(false)
      .describe('With `absent`: configuration files too (default false; apt only).'),
    update_cache: z
      .boolean()
      .default(false)
      .describe('Fetch the lists of the repositories first, where something is to install (default false).'),
    install_recommends: z
      .boolean()
      .default(true)
      .describe('Also install what packages recommend (default true; apt only).'),
    lock_timeout: zDuration
      .default(120_000)
      .describe('How long to wait for another apt or dpkg (default 2m).'),
  })
  .refine((given) => (given.name === undefined) !== (given.files === undefined), {
    error: 'give either `name` or `files`',
  })
  .refine(
    (given) => given.version === undefined || (given.name?.length === 1 && !given.name[0]?.includes('=')),
    {
      error: '`version` goes with one name; for several write name=version',
    },
  )
  .refine((given) => given.state === 'present' || (given.files ?? given.version) === undefined, {
    error: '`files` and `version` go with `state: present`',
  });

type Given = z.output<typeof params>;

interface Wish {
  readonly name: string;
  readonly version: string | undefined;
  readonly file?: PackageFile | undefined;
}

interface Installed {
  readonly version: string;
  readonly arch: string;
}

interface Seen {
  readonly manager: string;
  readonly installed: ReadonlyMap<string, Installed>;
  /** What the repositories have. */
  readonly candidates: ReadonlyMap<string, string>;
  /** All versions they have; undefined where they were not asked. */
  readonly offered: ReadonlyMap<string, readonly string[]> | undefined;
  /** Wished for in a version older than the installed one. */
  readonly older: ReadonlySet<string>;
}

async function wishesOf(ctx: Context, given: Given): Promise<readonly Wish[]> {
  if (given.files !== undefined)
    return (await packageFiles(ctx, given.files)).map((file) => ({
      name: file.name,
      version: file.version,
      file,
    }));
  return (given.name ?? []).map((spec) => {
    const [name = '', version] = spec.split(/=(.*)/s);
    if (!/^[A-Za-z0-9][A-Za-z0-9+._:-]*$/.test(name))
      throw new StepFailed(`\`${name}\` is no name of a package`);
    return { name, version: version ?? given.version };
  });
}

async function look(ctx: Context, given: Given, wishes: readonly Wish[]): Promise<Seen> {
  const kind = wishes[0]?.file?.kind ?? '';
  const said = await must(ctx, 'cannot ask which packages are installed', LOOK, {
    args: [kind, given.state, ...wishes.flatMap(({ name, version }) => [name, version ?? ''])],
  });
  const installed = new Map<string, Installed>();
  const candidates = new Map<string, string>();
  const older = new Set<string>();
  let offered: Map<string, readonly string[]> | undefined;
  let manager = '';
  for (const line of said.split('\n')) {
    const [word = '', name = '', version = '', arch = ''] = line.split('\t');
    if (word === 'manager') manager = name;
    else if (word === 'installed') installed.set(name, { version: version.replace(/^0:/, ''), arch });
    else if (word === 'candidate') candidates.set(name, version);
    else if (word === 'policy') offered = new Map();
    else if (word === 'offered') offered?.set(name, [...(offered.get(name) ?? []), version]);
    else if (word === 'older') older.add(name);
  }
  return { manager, installed, candidates, offered, older };
}

const suits = (wanted: string, version: string): boolean =>
  wanted.endsWith('*') ? version.startsWith(wanted.slice(0, -1)) : version === wanted;

/** The version to reach, or undefined where the package is as wanted already. */
function wanted(given: Given, wish: Wish, seen: Seen): string | undefined {
  const now = seen.installed.get(wish.name);
  if (given.state === 'absent') return now === undefined ? undefined : 'absent';
  const target = wish.version ?? (given.state === 'latest' ? seen.candidates.get(wish.name) : undefined);
  if (now === undefined) return target ?? 'present';
  const isOtherArch = wish.file !== undefined && wish.file.arch !== now.arch;
  if (target === undefined || (suits(target, now.version) && !isOtherArch)) return undefined;
  return isOtherArch ? `${target} ${wish.file.arch}` : target;
}

const changesOf = (given: Given, wishes: readonly Wish[], seen: Seen): Change[] =>
  wishes.flatMap((wish) => {
    const after = wanted(given, wish, seen);
    return after === undefined
      ? []
      : [{ what: `package ${wish.name}`, before: seen.installed.get(wish.name)?.version ?? 'absent', after }];
  });

const versions = (wishes: readonly Wish[], before: Seen, after: Seen): Record<string, unknown> =>
  Object.fromEntries(
    wishes.map(({ name }) => [
      name,
      {
        before: before.installed.get(name)?.version ?? null,
        after: after.installed.get(name)?.version ?? null,
      },
    ]),
  );

const memory = new WeakMap<Checked, { readonly wishes: readonly Wish[]; readonly seen: Seen }>();

async function check(ctx: Context, given: Given): Promise<Checked> {
  const wishes = await wishesOf(ctx, given);
  const seen = await look(ctx, given, wishes);
  const changes = changesOf(given, wishes, seen);
  const older = wishes.filter(({ name }) => seen.older.has(name));
  if (older.length > 0 && !given.allow_downgrade && changes.length > 0) {
    const words = older
      .map(({ name, version }) => `${name} ${seen.installed.get(name)?.version} → ${version}`)
      .join(', ');
    throw new StepFailed(
      `this would be a downgrade: ${words}`,
      { packages: versions(wishes, seen, seen) },
      { hint: 'allow_downgrade: true' },
    );
  }
  if (!given.update_cache) refuse(ctx, wishes, seen, changes);
  const checked = { changes, result: { manager: seen.manager, packages: versions(wishes, seen, seen) } };
  memory.set(checked, { wishes, seen });
  return checked;
}

/** Of a package to install by name: whether the repositories, as the node knows them, have it. */
function refuse(ctx: Context, wishes: readonly Wish[], seen: Seen, changes: readonly Change[]): void {
  const { offered } = seen;
  if (offered === undefined) return;
  for (const { name, version } of wishes) {
    if (name.includes(':') || !changes.some(({ what }) => what === `package ${name}`)) continue;
    const known = offered.get(name) ?? [];
    if (known.length === 0 || !seen.candidates.has(name))
      throw new StepFailed(
        `the repositories of ${ctx.host.name} have no package ${name}`,
        {},
        { hint: 'update_cache: true fetches their lists first' },
      );
    if (version !== undefined && !known.some((one) => suits(version, one)))
      throw new StepFailed(
        `the repositories of ${ctx.host.name} have no version ${version} of ${name}`,
        {},
        { hint: `they have ${known.join(', ')}` },
      );
  }
}

async function install(
  ctx: Context,
  given: Given,
  wishes: readonly Wish[],
  seen: Seen,
  folder: string,
): Promise<void> {
  const words = wishes.map(({ name, version, file }) => {
    if (file !== undefined) return `${folder}/${basename(file.file)}`;
    if (version === undefined || given.state === 'absent') return name;
    return seen.manager === 'apt' ? `${name}=${version}` : `${name}-${version}`;
  });
  const yes = (flag: boolean): string => (flag ? 'yes' : '');
  const isFiles = given.files !== undefined;
  const isOlder = wishes.some(({ name }) => seen.older.has(name));
  // Two of them side by side would be in each other's way: after an interruption the one that runs is waited for.
  const progressOf = packageProgress();
  const said = await ctx.job(seen.manager === 'apt' ? APPLY_APT : APPLY_RPM, {
    args: [
      folder,
      given.state === 'absent' ? (given.purge ? 'purge' : 'remove') : isFiles ? 'files' : 'names',
      String(Math.ceil(given.lock_timeout / 1000)),
      yes(given.allow_downgrade && isOlder),
      yes(given.allow_removal || given.state === 'absent'),
      yes(given.update_cache),
      yes(given.install_recommends),
      ...words,
    ],
    onOutput(text) {
      const told = progressOf(text);
      if (told) ctx.progress(told.message, told.percent);
    },
  });
  if (said.code === 0) return;
  const all = `${said.stderr}\n${said.stdout}`;
  const cause =
    all.split('\n').findLast((line) => /^(E:|dpkg: error|error:|Error:)/.test(line)) ??
    (lastLine(said.stderr) || lastLine(said.stdout));
  const first = all.split('\n').find((line) => /^E: (?!Sub-process)/.test(line)) ?? cause;
  throw new StepFailed(
    `${seen.manager} failed: ${first.replace(/^E: /, '')}`,
    { code: said.code, stdout: said.stdout, stderr: said.stderr },
    { hint: hintFor(all, given) },
  );
}

function hintFor(said: string, given: Given): string | undefined {
  if (/Unable to locate package|No match for argument/.test(said) && !given.update_cache)
    return 'update_cache: true fetches the lists first';
  if (/remove is disabled/.test(said)) return 'allow_removal: true lets other packages go';
  if (/Could not get lock/.test(said))
    return `another apt was at work for ${durationText(given.lock_timeout)}; raise lock_timeout`;
  if (/No space left/.test(said)) return 'the disk of the node is full';
  return undefined;
}

const FOLDER = `dir=/var/tmp; [ -d "$dir" ] || dir=/tmp
dir=$(mktemp -d "$dir/drillbook.XXXXXX") && chmod 755 "$dir" && printf %s "$dir"`;

/** Puts the files into a folder on the node, once: the job that takes them from there removes them. */
const upload = (ctx: Context, wishes: readonly Wish[]): Promise<string> =>
  ctx.keep('folder', async () => {
    const folder = await must(ctx, 'cannot make a folder for the packages', FOLDER);
    try {
      for (const [i, { file }] of wishes.entries()) {
        if (file === undefined) continue;
        ctx.progress(`uploading ${basename(file.file)}`, (100 * i) / wishes.length);
        // Readable by the user _apt; what is in a package is no secret.
        await ctx.put(`${folder}/${basename(file.file)}`, await ctx.read(file.file), 0o644);
      }
    } catch (error) {
      if (!(error instanceof Unreachable)) await ctx.sh('rm -rf -- "$1"', { args: [folder] });
      throw error;
    }
    return folder;
  });

async function apply(ctx: Context, given: Given, found: Checked): Promise<Checked> {
  let known = memory.get(found);
  if (known === undefined) {
    const wishes = await wishesOf(ctx, given);
    known = { wishes, seen: await look(ctx, given, wishes) };
  }
  const { wishes, seen } = known;
  const names = new Set(found.changes.map((change) => change.what));
  const needed = wishes.filter(({ name }) => names.has(`package ${name}`));
  await install(ctx, given, needed, seen, given.files === undefined ? '' : await upload(ctx, needed));
  const after = await look(ctx, given, wishes);
  return {
    changes: changesOf(given, wishes, after),
    result: { manager: seen.manager, packages: versions(wishes, seen, after) },
  };
}

export default state({
  summary: 'Packages: installed (in which version) or not; by name, or from files of the jump host.',
  source: 'apt-get(8), dpkg(1), dnf(8), yum(8), rpm(8)',
  params,
  shorthand: 'name',
  examples: `
- package: keepalived
- package: { name: [chrony, 'mariadb-server=1:10.11.*'], update_cache: true }
- package: { files: '{{inputs.packages}}/dbackup3-*_8.0-10_*.deb' }
  register: upgraded
- package: { name: dbackup3-licensed, state: absent, purge: true }
`,
  returns: {
    manager: z.enum(['apt', 'rpm']).meta({ isLasting: true }).describe('what the node installs with'),
    packages: z
      .record(z.string(), z.object({ before: z.string().nullable(), after: z.string().nullable() }))
      .describe('name → versions before and after, null where not installed'),
  },
  check,
  apply,
});
