import { createHash } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Change, Result } from '../../engine/core/module.ts';
import { loadModule, moduleNames } from '../../engine/modules/registry.ts';
import { check, openBench, reach } from './_context.ts';
import type { Bench } from './_context.ts';
import { nodeKinds } from './_node-truth.ts';
import { dbackupKinds, diskKinds, drbdKinds } from './_pair-truth.ts';
import { differences, expectUntouched, toldOfFiles } from './_truth.ts';
import type { Snapshot } from './_truth.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
});
afterAll(() => bench.close());

/** All below a directory of this machine, to the last bit. */
async function snapshot(dir: string): Promise<Snapshot> {
  const seen = new Map<string, Readonly<Record<string, string>>>();
  const look = async (path: string): Promise<void> => {
    const stat = await lstat(path);
    const kind = stat.isSymbolicLink() ? 'link' : stat.isDirectory() ? 'directory' : 'file';
    const content =
      kind === 'link'
        ? await readlink(path)
        : kind === 'file'
          ? createHash('sha256')
              .update(await readFile(path))
              .digest('hex')
          : '';
    const [mode, owner, group] = [stat.mode, stat.uid, stat.gid].map(String) as [string, string, string];
    const own = kind === 'link' ? {} : { content, mode, owner, group };
    seen.set(path, {
      kind: kind === 'link' ? `link to ${content}` : kind,
      ...own,
      mtime: String(stat.mtimeMs),
      ctime: String(stat.ctimeMs),
      inode: String(stat.ino),
    });
    if (kind === 'directory') for (const name of await readdir(path)) await look(join(path, name));
  };
  for (const name of await readdir(dir)) await look(join(dir, name));
  return seen;
}

interface Situation {
  readonly of: string;
  /** Makes it, in a new directory. */
  readonly when: (dir: string) => Promise<unknown>;
  readonly params: (dir: string) => Result;
  /** It cannot be done, and check says so with the words of the change itself. */
  readonly cannot?: string;
  /** Where the file is that a link named x leads to. */
  readonly isAt?: string;
}

const throughLinks = (change: Change, isAt: string | undefined, dir: string): Change =>
  isAt === undefined ? change : { ...change, what: change.what.replace(join(dir, 'x'), join(dir, isAt)) };

const file =
  (name: string, text = 'old\n', mode = 0o644) =>
  async (dir: string): Promise<void> => {
    await writeFile(join(dir, name), text);
    await chmod(join(dir, name), mode);
  };
const all =
  (...makes: readonly ((dir: string) => Promise<unknown>)[]) =>
  async (dir: string): Promise<void> => {
    for (const make of makes) await make(dir);
  };
const nothing = (): Promise<void> => Promise.resolve();
const at =
  (name: string, more: Result = {}) =>
  (dir: string): Result => ({ dest: join(dir, name), ...more });
const path =
  (name: string, more: Result = {}) =>
  (dir: string): Result => ({ path: join(dir, name), ...more });

/** What `copy`, `template` and the edits have in common: one file that is to be so. */
const oneFile = (give: (name: string, more?: Result) => (dir: string) => Result): readonly Situation[] => [
  { of: 'absent', when: nothing, params: give('x') },
  {
    of: 'absent, with a mode',
    when: nothing,
    params: give('x', { mode: '0600', owner: 'daemon', group: 'daemon' }),
  },
  { of: 'other content', when: file('x'), params: give('x') },
  { of: 'other content, kept as a backup', when: file('x'), params: give('x', { backup: true }) },
  { of: 'other content and mode', when: file('x'), params: give('x', { mode: '0600' }) },
  { of: 'other owner', when: file('x'), params: give('x', { owner: 'daemon', group: 1 }) },
  { of: 'a symbolic mode', when: file('x', 'old\n', 0o640), params: give('x', { mode: 'u+x,g=,o=r' }) },
  { of: 'an empty file', when: file('x', ''), params: give('x') },
  {
    of: 'a directory in the way',
    when: (dir) => mkdir(join(dir, 'x')),
    params: give('x'),
    cannot: 'is a directory',
  },
  { of: 'no directory', when: nothing, params: give('no/such/x'), cannot: 'there is no directory' },
  { of: 'a file for a directory', when: file('no'), params: give('no/x'), cannot: 'there is no directory' },
  {
    of: 'an unknown owner',
    when: nothing,
    params: give('x', { owner: 'nobody-such' }),
    cannot: 'has no user nobody-such',
  },
  {
    of: 'an unknown group',
    when: file('x'),
    params: give('x', { group: 'nobody-such' }),
    cannot: 'has no group nobody-such',
  },
];

const link =
  (name: string, target: string) =>
  (dir: string): Promise<void> =>
    symlink(target, join(dir, name));

const SITUATIONS: Readonly<Record<string, readonly Situation[]>> = {
  copy: [
    ...oneFile((name, more) => at(name, { content: 'new\n', ...more })),
    { of: 'as wanted', when: file('x', 'new\n'), params: at('x', { content: 'new\n' }) },
    {
      of: 'as wanted but for its mode',
      when: file('x', 'new\n'),
      params: at('x', { content: 'new\n', mode: '0444' }),
    },
    {
      of: 'a link in its place',
      when: all(file('to'), link('x', 'to')),
      params: at('x', { content: 'new\n' }),
    },
    {
      of: 'a link that is followed',
      when: all(file('to'), link('x', 'to')),
      params: at('x', { content: 'new\n', follow: true }),
      isAt: 'to',
    },
    {
      of: 'there, and not to be forced',
      when: file('x'),
      params: at('x', { content: 'new\n', force: false }),
    },
    { of: 'a tree, nothing there', when: nothing, params: at('tree', { src: 'tree/', mode: '0600' }) },
    {
      of: 'a tree, some of it there',
      when: all((dir) => mkdir(join(dir, 'tree/d'), { recursive: true }), file('tree/d/b')),
      params: at('tree', { src: 'tree/', directory_mode: '0700' }),
    },
    { of: 'a file into a directory that is not there', when: nothing, params: at('deep/', { src: 'a' }) },
  ],
  template: [
    ...oneFile((name, more) => at(name, { src: 't.hbs', ...more })),
    { of: 'as wanted', when: file('x', 'rendered\n'), params: at('x', { src: 't.hbs' }) },
  ],
  line_in_file: [
    ...oneFile((name, more) => path(name, { line: 'a line', create: true, ...more })),
    { of: 'as wanted', when: file('x', 'a line\n'), params: path('x', { line: 'a line' }) },
    { of: 'no end of line', when: file('x', 'old'), params: path('x', { line: 'a line' }) },
    {
      of: 'a line to change',
      when: file('x', 'a = 1\nb\n'),
      params: path('x', { regexp: '^a', line: 'a = 2' }),
    },
    { of: 'lines to go', when: file('x', 'a\nb\na\n'), params: path('x', { line: 'a', state: 'absent' }) },
    { of: 'nothing to go', when: nothing, params: path('x', { line: 'a', state: 'absent' }) },
    {
      of: 'a link, which is followed',
      when: all(file('to'), link('x', 'to')),
      params: path('x', { line: 'a' }),
      isAt: 'to',
    },
    {
      of: 'absent, and not to be made',
      when: nothing,
      params: path('x', { line: 'a' }),
      cannot: 'there is no',
    },
  ],
  hosts_file: [
    ...oneFile((name, more) => path(name, { entries: { '10.0.0.1': 'one' }, ...more })),
    {
      of: 'as wanted',
      when: file('x', '10.0.0.1 one\n'),
      params: path('x', { entries: { '10.0.0.1': 'one' } }),
    },
    {
      of: 'another address',
      when: file('x', '10.0.0.2 one\n'),
      params: path('x', { entries: { '10.0.0.1': 'one' } }),
    },
    {
      of: 'nothing to go',
      when: nothing,
      params: path('x', { entries: { '10.0.0.1': 'one' }, state: 'absent' }),
    },
  ],
  block_in_file: [
    ...oneFile((name, more) => path(name, { block: 'one\ntwo', create: true, ...more })),
    {
      of: 'a block to change',
      when: file('x', 'a\n# BEGIN DRILLBOOK MANAGED BLOCK\nz\n# END DRILLBOOK MANAGED BLOCK\nb\n'),
      params: path('x', { block: 'one' }),
    },
    {
      of: 'a block to go',
      when: file('x', '# BEGIN DRILLBOOK MANAGED BLOCK\nz\n# END DRILLBOOK MANAGED BLOCK\n'),
      params: path('x', { state: 'absent' }),
    },
    {
      of: 'a block that never ended',
      when: file('x', '# BEGIN DRILLBOOK MANAGED BLOCK\nz\n'),
      params: path('x', { block: 'one' }),
    },
    {
      of: 'absent, and not to be made',
      when: nothing,
      params: path('x', { block: 'a' }),
      cannot: 'there is no',
    },
  ],
  file: [
    { of: 'a file with another mode', when: file('x'), params: path('x', { mode: '0600' }) },
    { of: 'a file as wanted', when: file('x'), params: path('x', { mode: '0644' }) },
    { of: 'a file that is not there', when: nothing, params: path('x'), cannot: 'there is no' },
    { of: 'another owner', when: file('x'), params: path('x', { owner: 'daemon' }) },
    {
      of: 'an unknown owner',
      when: file('x'),
      params: path('x', { owner: 'nobody-such' }),
      cannot: 'has no user',
    },
    { of: 'a directory to make', when: nothing, params: path('d', { state: 'directory', mode: '0700' }) },
    {
      of: 'directories to make',
      when: nothing,
      params: path('a/b/c', { state: 'directory', owner: 'daemon' }),
    },
    {
      of: 'a directory there',
      when: (dir) => mkdir(join(dir, 'd'), { mode: 0o755 }),
      params: path('d', { state: 'directory', mode: '0755' }),
    },
    {
      of: 'a file in the way of a directory',
      when: file('d'),
      params: path('d', { state: 'directory' }),
      cannot: 'is no directory',
    },
    {
      of: 'a file in the way above a directory',
      when: file('d'),
      params: path('d/e/f', { state: 'directory' }),
      cannot: 'is no directory',
    },
    {
      of: 'a tree to dress',
      when: all(
        (dir) => mkdir(join(dir, 'd/e'), { recursive: true }),
        file('d/x', '', 0o600),
        file('d/e/y', '', 0o644),
      ),
      params: path('d', { state: 'directory', recurse: true, mode: 'u=rwX,go=' }),
    },
    { of: 'a file to remove', when: file('x'), params: path('x', { state: 'absent' }) },
    {
      of: 'a tree to remove',
      when: all((dir) => mkdir(join(dir, 'd/e'), { recursive: true }), file('d/e/x')),
      params: path('d', { state: 'absent' }),
    },
    { of: 'nothing to remove', when: nothing, params: path('x', { state: 'absent' }) },
    {
      of: 'a link to remove',
      when: all(file('to'), link('x', 'to')),
      params: path('x', { state: 'absent' }),
    },
    { of: 'a link to make', when: file('to'), params: path('x', { state: 'link', src: 'to' }) },
    {
      of: 'a link there',
      when: all(file('to'), link('x', 'to')),
      params: path('x', { state: 'link', src: 'to' }),
    },
    {
      of: 'a link elsewhere',
      when: all(file('to'), link('x', 'other')),
      params: path('x', { state: 'link', src: 'to' }),
    },
    {
      of: 'a link to nothing',
      when: nothing,
      params: path('x', { state: 'link', src: 'to' }),
      cannot: 'there is no to to link to',
    },
    {
      of: 'a link to nothing, forced',
      when: nothing,
      params: path('x', { state: 'link', src: 'to', force: true }),
    },
    {
      of: 'a file in the way of a link',
      when: all(file('to'), file('x')),
      params: path('x', { state: 'link', src: 'to' }),
      cannot: 'is no link',
    },
    {
      of: 'a file in the way of a link, forced',
      when: all(file('to'), file('x')),
      params: path('x', { state: 'link', src: 'to', force: true }),
    },
    {
      of: 'a full directory in the way of a link',
      when: all(file('to'), (dir) => mkdir(join(dir, 'x/y'), { recursive: true })),
      params: path('x', { state: 'link', src: 'to', force: true }),
      cannot: 'not empty',
    },
    {
      of: 'no directory for a link',
      when: file('to'),
      params: path('no/x', { state: 'link', src: '../to' }),
      cannot: 'there is no',
    },
    {
      of: 'a hard link',
      when: file('to'),
      params: (dir) => ({ path: join(dir, 'x'), state: 'hard', src: join(dir, 'to') }),
    },
    {
      of: 'a hard link to nothing',
      when: nothing,
      params: (dir) => ({ path: join(dir, 'x'), state: 'hard', src: join(dir, 'to') }),
      cannot: 'there is no',
    },
    { of: 'a file to touch', when: file('x'), params: path('x', { state: 'touch', mode: '0600' }) },
    { of: 'a file to make by a touch', when: nothing, params: path('x', { state: 'touch' }) },
    {
      of: 'no directory for a touch',
      when: nothing,
      params: path('no/x', { state: 'touch' }),
      cannot: 'there is no directory',
    },
  ],
};

/** States whose changes are not those of one node, and the test that has them instead. */
const ELSEWHERE = {
  fetch: 'a file of this machine, not of the node: fetch.test.ts',
  ssh_trust: 'keys of two nodes and a login: system-on-pair.test.ts',
  'pacemaker.quorum_device': 'a pair and a third host: pacemaker/quorum-device.test.ts',
  ...Object.fromEntries(
    'auth cluster configuration constraint group node property resource'
      .split(' ')
      .map((name) => [`pacemaker.${name}`, 'a cluster of two nodes: `reach` of pacemaker/cluster.test.ts']),
  ),
};

test('every state is held against what it says in check mode, in one place', async () => {
  const kinds = [nodeKinds, dbackupKinds, drbdKinds, diskKinds(() => '')];
  const places = [SITUATIONS, ...kinds, ELSEWHERE].flatMap(Object.keys);
  const all = await Promise.all(moduleNames().map(async (name) => ({ name, ...(await loadModule(name)) })));
  const states = all.filter(({ kind }) => kind === 'state').map(({ name }) => name);
  expect([...places].sort()).toEqual(states);
});

const ALWAYS = /^times of /;
let count = 0;

describe.each(Object.entries(SITUATIONS))(
  '%s in check mode tells what it then changes',
  (name, situations) => {
    test.each(situations.map((situation) => [situation.of, situation] as const))(
      '%s',
      async (_, { when, params, cannot, isAt }) => {
        const dir = join(bench.dir, `case-${++count}`);
        await mkdir(join(bench.dir, 'tree/d'), { recursive: true });
        await Promise.all([
          writeFile(join(bench.dir, 'a'), 'new\n'),
          writeFile(join(bench.dir, 't.hbs'), 'rendered\n'),
          writeFile(join(bench.dir, 'tree/a'), 'new\n'),
          writeFile(join(bench.dir, 'tree/d/b'), 'new\n'),
        ]);
        await mkdir(dir);
        await when(dir);
        await chown(dir, 0, 0);
        const given = params(dir);
        const before = await snapshot(dir);
        const found = await check(bench, name, given).catch((error: Error) => error);
        expectUntouched(before, await snapshot(dir));
        if (found instanceof Error) {
          expect(found.message).toContain(cannot ?? 'nothing that stops it');
          await expect(reach(bench, name, given)).rejects.toThrow(found.message);
          return expectUntouched(before, await snapshot(dir));
        }
        expect(cannot, 'it told of no hindrance').toBeUndefined();
        await reach(bench, name, given);
        const changed = new Map(
          [...differences(before, await snapshot(dir))].filter(([one]) => !one.endsWith('~')),
        );
        const told = toldOfFiles(found.changes.map((change) => throughLinks(change, isAt, dir)));
        // With a directory all in it goes.
        for (const one of changed.keys())
          if (
            changed.get(one)?.has('gone') &&
            [...told].some(([top, how]) => how.has('gone') && one.startsWith(`${top}/`))
          )
            changed.delete(one);
        expect(changed).toEqual(told);
        const again = await check(bench, name, given);
        expect(again.changes.filter(({ what }) => !ALWAYS.test(what))).toEqual([]);
      },
    );
  },
);
