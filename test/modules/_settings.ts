import { readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Result } from '../../engine/core/module.ts';
import type { ParamPath } from './_hostile.ts';

/** A module's parameters that do, with a place for a text, in a directory of this machine. */
export interface Setting {
  readonly params: Result;
  /** Only for these parameters; the others have another setting. */
  readonly only?: readonly string[];
  /** What becomes of the text before it is put in, where a parameter wants more than a text. */
  readonly wrap?: Readonly<Record<string, (text: string, dir: string) => string>>;
  /** Makes what the text needs to be there; true where it is, so that the text has to be taken. */
  readonly before?: (text: string) => Promise<boolean>;
  /** The name in a mapping whose value is a text: `key` where it does not matter. */
  readonly key?: string;
  /** What of the text arrived, parameter by parameter; undefined where that cannot be seen. */
  readonly arrived?: Readonly<
    Record<string, (result: Result, dir: string, text: string) => Promise<unknown>>
  >;
}

/** The setting for a parameter. */
export const settingFor = (settings: readonly Setting[], path: ParamPath): Setting | undefined =>
  settings.find(({ only }) => only?.includes(path.join('.'))) ??
  settings.find(({ only }) => only === undefined);

/** Where the text is put: a mapping's name is the setting's. */
export const placeIn = ({ key = 'key' }: Setting, path: ParamPath): ParamPath =>
  path.map((part) => (part === 'key' ? key : part));

/** Parameters that are code themselves, of a shell or a database: what is in them is meant to be run. */
export const CODE: ReadonlySet<string> = new Set([
  ...['shell.cmd', 'wait_for.sh', 'dialogue.cmd'],
  ...['mysql.query.query', 'mysql.execute.statement'],
]);

export type Settings = Readonly<Record<string, readonly Setting[]>>;

/** What takes no text but those it knows, and so refuses every other before the node is reached. */
export const REFUSING: Settings = {
  'dbackup.ha_info': [{ params: {} }],
  'dbackup.hactl': [{ params: { command: 'status' } }],
  power: [{ params: { state: 'off' } }],
};

const below = (text: string, dir: string): string => join(dir, 'names') + `/${text}`;
const isThere = async (path: string): Promise<boolean> => (await stat(path)).isFile();
/** A name that is there under exactly this name counts as the text itself. */
const named = async (_: Result, dir: string, text: string): Promise<unknown> =>
  (await isThere(below(text, dir))) ? text : 'another name';
// What a command says comes without its last newlines.
const stdout = (result: Result, _: string, text: string): Promise<unknown> =>
  Promise.resolve(result['stdout'] === text.replace(/\n+$/, '') ? text : result['stdout']);
const onFile = { wrap: { path: below, dest: below, validate: (text: string) => `test -s %s ${text}` } };

/** What works on this machine as it does on a node; `dir` has names/, src.txt, t.hbs, s.sh. */
export const localSettings = (dir: string): Settings => ({
  assert: [
    { params: { that: 'false', fail_msg: 'x' }, only: ['fail_msg'] },
    {
      params: { that: 'true', success_msg: 'x' },
      arrived: { success_msg: ({ msg }) => Promise.resolve(msg) },
    },
  ],
  block_in_file: [
    {
      params: { path: join(dir, 'block'), block: 'x', create: true },
      wrap: { ...onFile.wrap, marker: (text) => `${text}{mark}` },
      arrived: {
        path: named,
        block: async (_, __, text) => {
          const block = text.replace(/\n+$/, '');
          return (await readFile(join(dir, 'block'), 'utf8')).includes(`\n${block}\n`) ? text : 'other lines';
        },
      },
    },
  ],
  'cluster.status': [{ params: { expect: {} } }],
  command: [
    { params: { cmd: 'true' }, only: ['cmd'], wrap: { cmd: (text) => `printf %s ${text}` } },
    {
      params: { argv: ['cat'], stdin: 'x', stdin_add_newline: false },
      only: ['stdin'],
      arrived: { stdin: stdout },
    },
    { params: { argv: ['printf', '%s', 'x'] }, arrived: { 'argv.*': stdout } },
  ],
  copy: [
    { params: { src: 'src.txt', dest: join(dir, 'copy') }, only: ['src'] },
    {
      params: { content: 'x', dest: join(dir, 'copy') },
      ...onFile,
      arrived: { dest: named, content: () => readFile(join(dir, 'copy'), 'utf8') },
    },
  ],
  debug: [
    { params: { var: '1' }, only: ['var'] },
    { params: { msg: 'x' }, arrived: { msg: ({ msg }) => Promise.resolve(msg) } },
  ],
  dialogue: [
    {
      params: {
        cmd: `printf '? '; read -r x; printf %s "$x" >'${join(dir, 'answer')}'`,
        responses: [{ prompt: '\\? $', answer: 'x' }],
      },
      only: ['responses.*.answer'],
      // The program's own read takes blanks off both ends.
      arrived: {
        'responses.*.answer': async (_, __, text) =>
          (await readFile(join(dir, 'answer'), 'utf8')) === text.trim() ? text : 'another answer',
      },
    },
    {
      params: {
        cmd: `printf '? '`,
        responses: [{ prompt: 'x', answer: 'x', optional: true }],
        expect_end: '\\?',
      },
    },
  ],
  facts: [{ params: { gather: ['time'] } }],
  pause: [{ params: { for: '1ms' } }],
  fail: [{ params: { msg: 'x' } }],
  window: [{ params: { ends: '', needs: '1ms' } }],
  fetch: [
    {
      params: { src: join(dir, 'src.txt'), dest: join(dir, 'names/x'), flat: true },
      wrap: { src: below, dest: below },
      arrived: { dest: named },
    },
  ],
  file: [
    {
      params: { path: join(dir, 'link'), state: 'link', src: 'x', force: true },
      only: ['src'],
      arrived: { src: () => readlink(join(dir, 'link')) },
    },
    {
      params: { path: join(dir, 'touched'), state: 'touch', modification_time: 'preserve' },
      ...onFile,
      arrived: { path: named },
    },
  ],
  hosts_file: [
    {
      params: { path: join(dir, 'line'), entries: { '10.0.0.1': 'x' } },
      ...onFile,
      key: '10.0.0.1',
      arrived: { path: named },
    },
  ],
  line_in_file: [
    {
      params: { path: join(dir, 'line'), line: 'x', create: true },
      ...onFile,
      arrived: {
        path: named,
        line: async (_, __, text) =>
          (await readFile(join(dir, 'line'), 'utf8')).split('\n').includes(text) ? text : 'another line',
      },
    },
  ],
  obligation: [{ params: { name: 'x', message: 'x' } }],
  script: [{ params: { src: 's.sh', args: ['x'] }, arrived: { 'args.*': stdout } }],
  set: [
    { params: { value: 'x' }, arrived: { value: ({ set }) => Promise.resolve((set as Result)['value']) } },
  ],
  shell: [
    { params: { cmd: 'true' }, only: ['executable'] },
    { params: { cmd: 'cat', stdin: 'x', stdin_add_newline: false }, arrived: { stdin: stdout } },
  ],
  template: [{ params: { src: 't.hbs', dest: join(dir, 'rendered') }, ...onFile, arrived: { dest: named } }],
  wait_for: [
    { params: { port: 9, host: 'x', timeout: '20ms', interval: '10ms' }, only: ['host'] },
    { params: { path: join(dir, 'src.txt'), timeout: '20ms', interval: '10ms' }, wrap: { path: below } },
  ],
});
