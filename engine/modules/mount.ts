import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { makeDirectories, missingAbove } from './_directory.ts';
import { applyEdit, checkEdit } from './_edit.ts';
import type { Edit } from './_edit.ts';
import { zPath } from './_file.ts';
import { fstabWith } from './_fstab.ts';
import type { Entry } from './_fstab.ts';
import { lookAtMount } from './_mounts.ts';
import type { Mount, Seen } from './_mounts.ts';
import { lastWords, must } from './_sh.ts';

const zLine = z.string().regex(/^[^\r\n]+$/, { error: 'is one line' });
const zCount = z
  .union([z.int().min(0).max(9), z.string().regex(/^\d$/)])
  .transform(String)
  .default('0');

const params = z
  .strictObject({
    path: zPath.regex(/^[^\r\n]+$/, { error: 'is one line' }).describe('Where it is mounted.'),
    src: zLine
      .optional()
      .describe(
        'What is mounted: a device (best by its name in /dev/disk/by-id, or UUID=…, LABEL=…), server:/path, tmpfs, or with `opts: bind` a directory.',
      ),
    fstype: z
      .string()
      .regex(/^[\w.,-]+$/)
      .optional()
      .describe('Kind of file system: ext4, xfs, nfs, tmpfs, none (of a bind mount) …'),
    opts: z
      .string()
      .regex(/^[^\s]+$/, { error: 'are words with commas between' })
      .default('defaults')
      .describe('Options, with commas between (default defaults).'),
    state: z
      .enum(['mounted', 'unmounted', 'present', 'absent', 'ephemeral'])
      .describe(
        'mounted: now, and in fstab; ephemeral: now, fstab left alone; present: in fstab, what is mounted left alone; unmounted: not now, fstab left alone; absent: neither now nor in fstab. The directory is made where it is missing, and always stays.',
      ),
    boot: z
      .boolean()
      .default(true)
      .describe('false: `noauto` in fstab, for what a cluster mounts (default true).'),
    dump: zCount.describe('Fifth field in fstab (default 0).'),
    passno: zCount.describe('Sixth field in fstab: order of fsck at boot (default 0).'),
    hide_content: z
      .boolean()
      .default(false)
      .describe(
        'Also over a directory that is not empty, whose content cannot be seen then (default false).',
      ),
    fstab: zPath.default('/etc/fstab').describe('The file (default /etc/fstab).'),
    backup: z.boolean().default(false).describe('Keep the old fstab as FSTAB.TIME~ (default false).'),
  })
  .refine(({ state, src, fstype }) => isGone(state) || (src !== undefined && fstype !== undefined), {
    error: 'wants `src` and `fstype`, but for `state: unmounted` and `absent`',
  })
  .refine(({ path, state }) => state === 'present' || !/^\/+$/.test(path), {
    error: '/ can only be `present`',
    path: ['path'],
  });

type Given = z.output<typeof params>;
const isGone = (state: string): boolean => state === 'unmounted' || state === 'absent';
const isMounting = ({ state }: Given): boolean => state === 'mounted' || state === 'ephemeral';
const isInFstab = ({ state }: Given): boolean => !['unmounted', 'ephemeral'].includes(state);

const words = ({ source, fstype }: Mount): string => `${source} (${fstype})`;

const isBind = ({ opts }: Given): boolean => /(^|,)r?bind(,|$)/.test(opts);

function isWanted(given: Given, seen: Seen, mount: Mount): boolean {
  const { source } = seen;
  if (isBind(given)) return source.identity !== '' && source.identity === seen.identity;
  if (source.kind === 'block') return mount.device === source.device || mount.source === source.real;
  if (source.kind === 'file') return seen.loops.get(mount.source) === source.real;
  const { src = '', fstype = 'auto' } = given;
  const isKind = fstype === 'auto' || mount.fstype.startsWith(fstype);
  return isKind && mount.source.replace(/(?<=.)\/$/, '') === src.replace(/(?<=.)\/$/, '');
}

/** Options that the kernel tells of every mount, and what the words for the contrary take away. */
const TOLD = new Set(['ro', 'rw', 'nosuid', 'nodev', 'noexec', 'noatime', 'nodiratime', 'sync', 'dirsync']);
const CONTRARY: Readonly<Record<string, string>> = {
  suid: 'nosuid',
  dev: 'nodev',
  exec: 'noexec',
  async: 'sync',
};

const hasOptions = ({ opts }: Given, { options }: Mount): boolean =>
  opts.split(',').every((word) => {
    const other = CONTRARY[word];
    return other === undefined ? !TOLD.has(word) || options.includes(word) : !options.includes(other);
  });

/** Kinds that blkid knows by the name that mount has for them. */
const KNOWN = /^(ext[234]|xfs|btrfs)$/;
const family = (fstype: string): string => (/^ext[234]$/.test(fstype) ? 'ext' : fstype);

/** Fails where what is to be mounted is not there, or not what it is said to be. */
function refuseSource({ src = '', fstype = '' }: Given, { source }: Seen): void {
  const isDevice = /^(\/dev\/|(PART)?(UUID|LABEL)=)/.test(src);
  if (isDevice && source.kind !== 'block') throw new StepFailed(`there is no device ${src}`);
  if (source.kind !== 'block' || !KNOWN.test(fstype)) return;
  if (source.fstype === '') throw new StepFailed(`${src} has no file system, or cannot be read`);
  if (family(source.fstype) !== family(fstype))
    throw new StepFailed(`${src} holds ${source.fstype}, not ${fstype}`);
}

async function mountChanges(ctx: Context, given: Given, seen: Seen): Promise<Change[]> {
  const { path, src = '', fstype = '' } = given;
  const top = seen.at.at(-1);
  if (top !== undefined) {
    if (!isWanted(given, seen, top))
      throw new StepFailed(
        `${path} has something else mounted: ${words(top)}`,
        {},
        { hint: 'unmount it first, with `state: unmounted`' },
      );
    if (hasOptions(given, top)) return [];
    return [{ what: `options of ${path}`, before: top.options.join(','), after: given.opts }];
  }
  refuseSource(given, seen);
  if (isBind(given) && seen.source.kind === 'none') throw new StepFailed(`there is no directory ${src}`);
  if (seen.kind === 'other') throw new StepFailed(`${path} is no directory`);
  const [first, ...more] = seen.holds;
  if (first !== undefined && !given.hide_content)
    throw new StepFailed(
      `${path} is not empty: it holds ${first}${more.length > 0 ? ' and more' : ''}, which could not be seen any more`,
      {},
      { hint: 'nothing was mounted; `hide_content: true` mounts over it' },
    );
  const made = seen.kind === 'absent' ? [...(await missingAbove(ctx, path)), path] : [];
  return [
    ...made.map((what) => ({ what, before: 'absent', after: 'directory' })),
    { what: `mount at ${path}`, before: 'none', after: `${src} (${fstype})` },
  ];
}

function unmountChanges({ path }: Given, seen: Seen): Change[] {
  const [inner] = seen.below;
  if (seen.at.length > 0 && inner !== undefined)
    throw new StepFailed(`${inner} is mounted below ${path}`, {}, { hint: 'unmount it first' });
  return seen.at.map((mount) => ({ what: `mount at ${path}`, before: words(mount), after: 'none' }));
}

function entryOf({ path, src = '', fstype = '', opts, boot, dump, passno }: Given): Entry {
  const all = boot || opts.split(',').includes('noauto') ? opts : `${opts},noauto`;
  return [src, path, fstype, all, dump, passno];
}

/** What the edits of files want of fstab. */
const file = ({ fstab, backup, state }: Given) => ({ path: fstab, backup, create: state !== 'absent' });

async function check(ctx: Context, given: Given): Promise<Checked> {
  const seen = await lookAtMount(ctx, given.path, isMounting(given) ? given.src : '');
  const now = isMounting(given)
    ? await mountChanges(ctx, given, seen)
    : isGone(given.state)
      ? unmountChanges(given, seen)
      : [];
  const isAbsent = given.state === 'absent';
  const wanted = isAbsent ? undefined : entryOf(given);
  const written = isInFstab(given)
    ? await checkEdit(ctx, file(given), fstabWith(given.path, wanted), isAbsent)
    : { changes: [] };
  const top = seen.at.at(-1);
  return {
    changes: [...now, ...written.changes],
    result: {
      path: given.path,
      is_mounted: top !== undefined,
      ...(top ? { src: top.source, fstype: top.fstype, opts: top.options.join(',') } : {}),
    },
  };
}

// Else systemd goes by what fstab said before, and may unmount what it does not expect.
const RELOAD = '[ "$1" != /etc/fstab ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload';
const MOUNT = `PATH=$PATH:/usr/sbin:/sbin; mount -t "$1" -o "$2" -- "$3" "$4"`;
const UNMOUNT = `PATH=$PATH:/usr/sbin:/sbin; umount -- "$1"`;

async function act(ctx: Context, what: string, script: string, args: readonly string[]): Promise<void> {
  const said = await ctx.job(script, { args });
  if (said.code === 0) return;
  const isBusy = /busy/.test(said.stderr);
  throw new StepFailed(
    `${what}: ${lastWords(said) || `exit code ${said.code}`}`,
    { code: said.code, stderr: said.stderr },
    {
      hint: isBusy
        ? 'a process has a file of it open, or stands in it: `fuser -vm PATH` names it'
        : undefined,
    },
  );
}

/** Writes fstab and gives back how to take that back. */
async function writeFstab(ctx: Context, given: Given): Promise<() => Promise<void>> {
  let old: readonly string[] = [];
  const wanted = given.state === 'absent' ? undefined : entryOf(given);
  const write = async (edit: Edit): Promise<boolean> => {
    const found = await checkEdit(ctx, file(given), edit, given.state === 'absent');
    if (found.changes.length === 0) return false;
    await applyEdit(ctx, file(given), edit, found);
    await must(ctx, 'systemd did not read fstab again', RELOAD, { args: [given.fstab] });
    return true;
  };
  const isWritten = await write((lines, text) => {
    old = lines;
    return fstabWith(given.path, wanted)(lines, text);
  });
  return async () => void (isWritten && (await write(() => old)));
}

async function applyMount(ctx: Context, given: Given, seen: Seen): Promise<void> {
  const { path, src = '', fstype = '', opts } = given;
  const isRemount = seen.at.length > 0;
  if (!isRemount && seen.kind === 'absent') await makeDirectories(ctx, [path], {});
  const remount = isBind(given) ? `remount,bind,${opts}` : `remount,${opts}`;
  await act(ctx, `${src} was not mounted at ${path}`, MOUNT, [fstype, isRemount ? remount : opts, src, path]);
  // Of a bind mount the first call leaves options aside where it is old.
  if (!isRemount && isBind(given) && opts.includes(',')) {
    const after = (await lookAtMount(ctx, path)).at.at(-1);
    if (after && !hasOptions(given, after))
      await act(ctx, `options of ${path}`, MOUNT, [fstype, remount, src, path]);
  }
}

async function apply(ctx: Context, given: Given): Promise<undefined> {
  const seen = await lookAtMount(ctx, given.path, isMounting(given) ? given.src : '');
  // First of all: what cannot be unmounted stays in fstab as well.
  if (isGone(given.state))
    for (const _ of seen.at) await act(ctx, `${given.path} was not unmounted`, UNMOUNT, [seen.real]);
  const back = isInFstab(given) ? await writeFstab(ctx, given) : undefined;
  if (!isMounting(given) || (await mountChanges(ctx, given, seen)).length === 0) return undefined;
  try {
    await applyMount(ctx, given, seen);
  } catch (error) {
    // A line that cannot be mounted would keep the node from booting.
    await back?.();
    throw error;
  }
  return undefined;
}

export default state({
  summary: 'A file system is mounted (or not), now and at boot; never over a directory that holds something.',
  source: 'mount(8), umount(8), fstab(5), proc(5)',
  params,
  examples: `
- name: Data directory
  mount: { path: /data, src: /dev/disk/by-id/scsi-0QEMU_data, fstype: xfs, opts: 'noatime,nodev', state: mounted }
- name: Pacemaker mounts it, not the boot
  mount: { path: /var/lib/mysql, src: /dev/drbd3, fstype: ext4, state: present, boot: false }
- mount: { path: /mnt, state: unmounted }
`,
  returns: {
    path: z.string().meta({ isLasting: true }).describe('where'),
    is_mounted: z.boolean().describe('whether anything is mounted there'),
    src: z.string().optional().describe('what is mounted, as the kernel says it'),
    fstype: z.string().optional().describe('its kind of file system'),
    opts: z.string().optional().describe('its options, as the kernel says them'),
  },
  check,
  apply,
});
