import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isFull } from '../../_full.ts';
import { call, CRASH } from '../../cli/_call.ts';
import { start } from '../../cli/_drillbook.ts';
import type { Said } from '../../cli/_drillbook.ts';

const INVENTORY = 'connection: { transport: local }\nhosts: { a: {} }\n';
const book = (task: string, more = ''): string =>
  `name: x\n${more}plays:\n  - hosts: all\n    tasks:\n      - ${task}\n`;

/** A folder with these files; a function makes what is no plain file. */
type Files = Readonly<Record<string, string | Uint8Array | ((path: string) => void)>>;

function folder(files: Files): string {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-hostile-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const all: Files = { 'inventory.yml': INVENTORY, ...files };
  for (const [name, content] of Object.entries(all)) {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true });
    if (typeof content === 'function') content(path);
    else writeFileSync(path, content);
  }
  return dir;
}

const fifo = (path: string): void => void spawnSync('mkfifo', [path]);
const link =
  (to: string) =>
  (path: string): void =>
    symlinkSync(to, path);

const words = 'abcdefghi'.split('');
const BOMB = words
  .map(
    (name, i) =>
      `${name}: &${name} [${Array(9)
        .fill(i === 0 ? 'x' : `*${words[i - 1] ?? ''}`)
        .join(', ')}]`,
  )
  .join('\n');
const inVars = (text: string): string => `vars:\n${text.replace(/^/gm, '  ')}\n`;

/** What is linted, what the error says, and where. */
const HOSTILE: readonly (readonly [string, Files, RegExp])[] = [
  ['a bomb of aliases', { 'book.yml': book('debug: {}', inVars(BOMB)) }, /book\.yml:\d+:\d+: error: .*alias/],
  [
    'a bomb of merge keys',
    {
      'book.yml': book(
        'debug: {}',
        inVars(
          `a: &a { x: 1 }\n${BOMB.replaceAll('[', '{ <<: [')
            .replaceAll(']', '] }')
            .replace(/\[x, .*?\]/, '[*a, *a]')}`,
        ),
      ),
    },
    /book\.yml:\d+:\d+: error: /,
  ],
  [
    'an alias in what it stands for',
    { 'book.yml': book('debug: {}', 'vars: { a: &a [*a] }\n') },
    /book\.yml:2:\d+: error: .*inside of what it stands for/,
  ],
  [
    'a thousand brackets',
    { 'book.yml': `a: ${'['.repeat(1000)}${']'.repeat(1000)}\n` },
    /book\.yml:\d+:\d+: error: .*nested too deeply/,
  ],
  ['a hundred thousand brackets', { 'book.yml': '['.repeat(100_000) }, /book\.yml:\d+:\d+: error: /],
  [
    'a thousand steps to the right',
    { 'book.yml': Array.from({ length: 1000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n') },
    /book\.yml:\d+:\d+: error: .*nested too deeply/,
  ],
  ['12 MB', { 'book.yml': 'name: x\n'.repeat(1_500_000) }, /book\.yml has 12000000 bytes/],
  [
    '100 MB',
    { 'book.yml': (path) => void spawnSync('truncate', ['-s', '100M', path]) },
    /book\.yml is too large/,
  ],
  [
    'a million items',
    { 'book.yml': `vars: [${'1,'.repeat(1_000_000)}]\n` },
    /book\.yml:\d+:\d+: error: more than 50000/,
  ],
  [
    'forty thousand unknown keys',
    { 'book.yml': `plays: []\n${Array.from({ length: 40_000 }, (_, i) => `k${i}: v`).join('\n')}` },
    /book\.yml:\d+:\d+: error: /,
  ],
  [
    'invalid UTF-8',
    { 'book.yml': Buffer.from('name: x\nplays: \xff\n', 'latin1') },
    /book\.yml:2:8: error: .*is not UTF-8/,
  ],
  [
    'UTF-16',
    { 'book.yml': Buffer.from(`\ufeff${book('debug: {}')}`, 'utf16le') },
    /book\.yml:1:1: error: .*is not UTF-8[\s\S]*UTF-16/,
  ],
  ['NUL bytes', { 'book.yml': `name: x\0\nplays: []\n` }, /book\.yml:1:8: error: .*U\+0000/],
  [
    'an escape sequence of the terminal',
    { 'book.yml': 'name: \u001b[2J\nplays: []\n' },
    /book\.yml:1:7: error: .*U\+001B/,
  ],
  [
    'a tag of a language',
    { 'book.yml': book("debug: { msg: !!js/function 'x' }") },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'a tag of Python',
    { 'book.yml': book("debug: { msg: !!python/object/apply:os.system ['id'] }") },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'a key __proto__',
    { 'book.yml': book('debug: {}', 'vars: { __proto__: { polluted: 1 } }\n') },
    /book\.yml:2:9: error: `__proto__`/,
  ],
  [
    'a key __proto__ in disguise',
    { 'book.yml': book('debug: {}', 'vars: { "__pro\\x74o__": { polluted: 1 } }\n') },
    /book\.yml:2:9: error: `__proto__`/,
  ],
  [
    'the constructor in a template',
    { 'book.yml': book("debug: { msg: '{{constructor.constructor}}' }") },
    /book\.yml:5:\d+: error: unknown variable `constructor`/,
  ],
  [
    'the constructor of a value',
    { 'book.yml': book("debug: { msg: '{{host.constructor.name}}' }") },
    /book\.yml:5:\d+: error: /,
  ],
  [
    '__proto__ in a template',
    { 'book.yml': book("debug: { msg: '{{host.__proto__.x}}' }") },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'a call of the constructor',
    { 'book.yml': book(`debug: { msg: '{{#with "s" as |s|}}{{s.sub.apply 0 s}}{{/with}}' }`) },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'the constructor in a condition',
    { 'book.yml': book('{ debug: {}, when: \'host.constructor == "x"\' }') },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'templates in templates',
    { 'book.yml': book(`debug: { msg: "${'{{#if host.name}}'.repeat(5000)}" }`) },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'a template of pipes',
    { 'book.yml': book(`debug: { msg: '{{${'|'.repeat(300_000)}' }`) },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'a template of braces',
    { 'book.yml': book(`debug: { msg: '${'{{'.repeat(100_000)}' }`) },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'a condition of 200,000 sums',
    { 'book.yml': book(`{ debug: {}, when: '1${'+1'.repeat(200_000)} > 0' }`) },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'a condition of 20,000 parentheses',
    { 'book.yml': book(`{ debug: {}, when: '${'('.repeat(20_000)}true${')'.repeat(20_000)}' }`) },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'a condition of 20,000 negations',
    { 'book.yml': book(`{ debug: {}, when: '${'!'.repeat(20_000)}true' }`) },
    /book\.yml:5:\d+: error: /,
  ],
  [
    'includes in a circle',
    { 'book.yml': book('include: a.yml'), 'a.yml': '- include: b.yml\n', 'b.yml': '- include: a.yml\n' },
    /b\.yml:1:\d+: error: files include one another/,
  ],
  [
    'includes in a circle of links',
    { 'book.yml': book('include: d/a.yml'), 'd/a.yml': '- include: e/a.yml\n', 'd/e': link('.') },
    /a\.yml:1:\d+: error: files include one another/,
  ],
  [
    'includes that double',
    {
      'book.yml': book('include: t0.yml'),
      ...Object.fromEntries(
        Array.from({ length: 25 }, (_, i) => [
          `t${i}.yml`,
          `- include: t${i + 1}.yml\n- include: t${i + 1}.yml\n`,
        ]),
      ),
      't25.yml': '- debug: {}\n',
    },
    /t\d+\.yml:\d+:\d+: error: more than \d+ files/,
  ],
  [
    'an include of a folder',
    { 'book.yml': book('include: d'), 'd/a.yml': '[]' },
    /book\.yml:5:\d+: error: .*is a folder/,
  ],
  [
    'an include of /dev/zero',
    { 'book.yml': book('include: /dev/zero') },
    /book\.yml:5:\d+: error: .*is a device or a pipe/,
  ],
  [
    'an include of a pipe',
    { 'book.yml': book('include: pipe.yml'), 'pipe.yml': fifo },
    /book\.yml:5:\d+: error: .*is a device or a pipe/,
  ],
  [
    'variables from a pipe',
    { 'book.yml': book('debug: {}', 'vars_files: pipe.yml\n'), 'pipe.yml': fifo },
    /book\.yml:2:\d+: error: .*is a device or a pipe/,
  ],
  [
    'a template that is a pipe',
    { 'book.yml': book('template: { src: pipe.hbs, dest: /tmp/x }'), 'pipe.hbs': fifo },
    /book\.yml:5:\d+: error: .*is a device or a pipe/,
  ],
  ['a playbook that is a pipe', { 'book.yml': fifo }, /book\.yml is a device or a pipe/],
  ['a link to itself', { 'book.yml': link('book.yml') }, /book\.yml.*(?:ELOOP|leads to itself)/],
  [
    'what cannot be read',
    { 'book.yml': book('include: /proc/self/mem') },
    /book\.yml:5:\d+: error: .*cannot be read/,
  ],
  [
    'a pattern that is none',
    { 'book.yml': book('debug: {}', "inputs: { v: { pattern: '(' } }\n") },
    /book\.yml:2:\d+: error: .*regular expression/,
  ],
];

const inTime = (dir: string, args: readonly string[]): Promise<Said & { readonly ms: number }> => {
  const startedAt = performance.now();
  const process = start(args, { env: { XDG_STATE_HOME: join(dir, 'state') } });
  const timer = setTimeout(() => process.kill('SIGKILL'), 20_000);
  return process.ended.then((said) => {
    clearTimeout(timer);
    return { ...said, ms: performance.now() - startedAt };
  });
};

/** What could hang or eat up the memory of this process has one of its own; in the matrix all have. */
const isOwn = ([name]: (typeof HOSTILE)[number]): boolean =>
  isFull || /pipe$|\/dev\/|bomb|MB$|hundred thousand|that double/.test(name);

const argsOf = (dir: string): readonly string[] => [
  'lint',
  join(dir, 'book.yml'),
  '-i',
  join(dir, 'inventory.yml'),
];

function expectRefused({ code, stderr }: Pick<Said, 'code' | 'stderr'>, wanted: RegExp): void {
  expect(stderr.slice(0, 2000)).toMatch(wanted);
  expect(CRASH.test(stderr)).toBe(false);
  expect(stderr.length).toBeLessThan(100_000);
  expect(code).toBe(2);
}

test.each(HOSTILE.filter((one) => !isOwn(one)))(
  '%s: exit code 2 and the place',
  async (_name, files, wanted) => {
    const said = await call(argsOf(folder(files)));
    expectRefused(said, wanted);
    expect(said.ms).toBeLessThan(20_000);
  },
  60_000,
);

test.each(HOSTILE.filter(isOwn))(
  '%s: exit code 2 and the place, at once',
  async (_name, files, wanted) => {
    const dir = folder(files);
    const said = await inTime(dir, argsOf(dir));
    expectRefused(said, wanted);
  },
  60_000,
);

test('a pattern that backtracks for ever is given up on', async () => {
  const dir = folder({
    'book.yml': book("debug: { msg: '{{inputs.v}}' }", "inputs: { v: { pattern: '^(a+)+$' } }\n"),
  });
  const args = ['-i', join(dir, 'inventory.yml'), '-e', `v=${'a'.repeat(50)}b`];
  const { code, signal, stderr } = await inTime(dir, ['plan', join(dir, 'book.yml'), ...args]);
  expect(stderr).toMatch(/book\.yml:2:\d+: error: .*pattern .* comes to no end/);
  expect([code, signal]).toEqual([2, null]);
}, 60_000);

test('a condition that backtracks for ever fails its step', async () => {
  const dir = folder({
    'book.yml': book(
      `{ name: slow, command: 'true', when: 'v.matches("^(a+)+$")' }`,
      `vars: { v: ${'a'.repeat(50)}b }\n`,
    ),
  });
  const { code, signal } = await inTime(dir, [
    'run',
    join(dir, 'book.yml'),
    '-i',
    join(dir, 'inventory.yml'),
  ]);
  expect([code, signal]).toEqual([1, null]);
}, 60_000);

test('a folder with links in a circle, to nothing and to a pipe is linted', async () => {
  const dir = folder({
    'd/book.yml': book('debug: {}'),
    'd/loop': link('.'),
    'd/gone.yml': link('nowhere.yml'),
    'd/pipe.yml': fifo,
  });
  const { code, stdout, stderr } = await call(['lint', join(dir, 'd')]);
  expect([code, stdout, stderr]).toEqual([0, '1 file in order\n', '']);
});

test.each(['__proto__=x', 'constructor=x', 'toString=x'])('-e %s is no input', async (given) => {
  const dir = folder({ 'book.yml': book('debug: {}') });
  const { code, stderr } = await call([
    'plan',
    join(dir, 'book.yml'),
    '-i',
    join(dir, 'inventory.yml'),
    '-e',
    given,
  ]);
  expect(stderr).toContain('neither an input of this playbook nor a variable');
  expect([code, CRASH.test(stderr)]).toEqual([2, false]);
});
