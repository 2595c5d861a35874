import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parse, parseDocument } from 'yaml';
import { afterAll, expect, test } from 'vitest';
import { call, CRASH } from '../../cli/_call.ts';
import { drillbook } from '../../cli/_drillbook.ts';
import { HARMLESS, INVENTORY_MISTAKES, MISTAKES, TEMPLATE_MISTAKES } from './_mutations.ts';
import type { Mutation } from './_mutations.ts';
import { seeded } from './_seeded.ts';
import type { Seeded } from './_seeded.ts';

const ROOT = join(import.meta.dirname, '../../..');
const dir = mkdtempSync(join(tmpdir(), 'drillbook-broken-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
for (const folder of ['playbooks', 'templates'])
  cpSync(join(ROOT, folder), join(dir, folder), { recursive: true });
const INVENTORY = join(dir, 'inventory.yml');
cpSync(join(ROOT, 'inventories/dbackup.yml'), INVENTORY);

const yamlIn = (folder: string): string[] =>
  readdirSync(join(dir, folder))
    .filter((name) => name.endsWith('.yml'))
    .sort()
    .map((name) => join(dir, folder, name));
const PLAYBOOKS = yamlIn('playbooks/dbackup').filter((file) =>
  readFileSync(file, 'utf8').includes('\nplays:'),
);
const TASKS = yamlIn('playbooks/dbackup/tasks');
/** Those that playbooks of the inventory's stack read. */
const TEMPLATES = ['keepalived.conf.hbs', 'mysqld.cnf.hbs'].map((name) => join(dir, 'templates', name));
const good = new Map(
  [...PLAYBOOKS, ...TASKS, ...TEMPLATES, INVENTORY].map((file) => [file, readFileSync(file, 'utf8')]),
);

/** A playbook that reads the file: itself, or one that includes it, however deep. */
function readerOf(file: string): string {
  if (PLAYBOOKS.includes(file)) return file;
  // Its module takes it where the playbook names no other.
  const names = [basename(file).replace(/^keepalived.*/, 'keepalived.config')];
  for (const tasks of TASKS) if (good.get(tasks)?.includes(names[0] ?? '')) names.push(basename(tasks));
  const uses = (playbook: string): boolean =>
    names.some((name) => good.get(playbook)?.includes(name) === true);
  return PLAYBOOKS.find(uses) ?? PLAYBOOKS[0] ?? '';
}

interface Made {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly line: number | undefined;
}

/** So many different texts made by these mutations, in turn, of these files. */
function made(
  mutations: Readonly<Record<string, Mutation>>,
  files: readonly string[],
  count: number,
  random: Seeded,
) {
  const found = new Map<string, Made>();
  const names = Object.keys(mutations);
  for (let i = 0; found.size < count && i < count * 40; i++) {
    const name = names[i % names.length] ?? '';
    const file = random.pick(files) ?? '';
    const before = good.get(file) ?? '';
    const mutated = mutations[name]?.(before, random);
    if (mutated && mutated.text !== before)
      found.set(`${file} ${mutated.text}`, { name, file, text: mutated.text, line: mutated.line });
  }
  return [...found.values()];
}

async function lint({ file, text }: Pick<Made, 'file' | 'text'>) {
  try {
    writeFileSync(file, text);
    const paths = file === INVENTORY ? [] : ['-i', INVENTORY];
    return await call(['lint', file === INVENTORY ? INVENTORY : readerOf(file), ...paths]);
  } finally {
    writeFileSync(file, good.get(file) ?? '');
  }
}

/** What of it is not as it should be: each with the whole story, so that one run shows them all. */
async function wrongOf(all: readonly Made[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const one of all) {
    const { code, stdout, stderr, ms } = await lint(one);
    const place = `${basename(one.file)}:${one.line ?? '\\d+'}:\\d+: `;
    const faults = [
      ...(code === 2 ? [] : [`exit code ${code}`]),
      ...(CRASH.test(stdout + stderr) ? ['a crash'] : []),
      ...(new RegExp(place).test(stderr) ? [] : [`${place} is not named`]),
      ...(ms < 10_000 ? [] : [`${ms} ms`]),
    ];
    if (faults.length > 0)
      wrong.push(
        `${one.name} in ${basename(one.file)}: ${faults.join(', ')}\n${stderr.slice(0, 600)}\n${diff(one)}`,
      );
  }
  return wrong;
}

const diff = ({ file, text }: Made): string => {
  const before = (good.get(file) ?? '').split('\n');
  const i = text.split('\n').findIndex((line, at) => line !== before[at]);
  return `- ${before[i]}\n+ ${text.split('\n')[i]}`;
};

test('what is mutated is in order as it is', async () => {
  for (const file of [...PLAYBOOKS, INVENTORY]) {
    const { code, stderr } = await lint({ file, text: good.get(file) ?? '' });
    expect([basename(file), code, stderr]).toEqual([basename(file), 0, '']);
  }
});

const BROKEN = {
  playbooks: made(MISTAKES, [...PLAYBOOKS, ...TASKS], 260, seeded(1)),
  inventories: made(INVENTORY_MISTAKES, [INVENTORY], 50, seeded(2)),
  templates: made(TEMPLATE_MISTAKES, TEMPLATES, 40, seeded(3)),
};

test.each(Object.entries(BROKEN))(
  'broken %s: exit code 2, the place, no crash',
  async (_kind, all) => {
    expect(await wrongOf(all)).toEqual([]);
  },
  300_000,
);

test('there are at least 300 of them, by every mutation', () => {
  const all = Object.values(BROKEN).flat();
  expect(all.length).toBeGreaterThanOrEqual(300);
  const names = [MISTAKES, INVENTORY_MISTAKES, TEMPLATE_MISTAKES].flatMap((mutations) =>
    Object.keys(mutations),
  );
  expect(names.filter((name) => !all.some((one) => one.name === name))).toEqual([]);
});

test('what does not change the meaning is in order', async () => {
  for (const one of made(HARMLESS, [...PLAYBOOKS, ...TASKS, INVENTORY], 60, seeded(4))) {
    expect(parse(one.text.replace(/^\ufeff/, ''), { logLevel: 'silent' })).toEqual(
      parse(good.get(one.file) ?? '', { logLevel: 'silent' }),
    );
    const { code, stderr } = await lint(one);
    expect([one.name, basename(one.file), code, stderr]).toEqual([one.name, basename(one.file), 0, '']);
  }
}, 120_000);

const PIECES = [
  '{',
  '}',
  '[',
  ']',
  ':',
  '- ',
  '\t',
  '\n',
  '"',
  "'",
  '{{',
  '}}',
  '&a ',
  '*a',
  '!!',
  '|',
  '#',
  '%',
  '\u2028',
  '0',
];

test('bytes changed at random: the same meaning is in order, no YAML is not, and nothing crashes', async () => {
  const random = seeded(5);
  for (let i = 0; i < 150; i++) {
    const file = random.pick([...good.keys()]) ?? '';
    const before = good.get(file) ?? '';
    const at = random.below(before.length);
    const piece = random.below(3) === 0 ? '' : (random.pick(PIECES) ?? '');
    const text = before.slice(0, at) + piece + before.slice(at + random.below(12));
    const { code, stdout, stderr } = await lint({ file, text });
    const told = [basename(file), i, text.slice(at - 40, at + 40), stderr];
    expect([...told, CRASH.test(stdout + stderr)]).toEqual([...told, false]);
    expect([0, 2], told.join('\n')).toContain(code);
    if (code === 2) expect(stderr, told.join('\n')).toMatch(/[\w.-]+:\d+:\d+: error: /);
    if (!file.endsWith('.yml')) continue;
    const meaning = meaningOf(text);
    if (meaning === undefined) expect(code, told.join('\n')).toBe(2);
    else if (meaning === meaningOf(before)) expect(code, told.join('\n')).toBe(0);
  }
}, 120_000);

function meaningOf(text: string): string | undefined {
  const customTags = [{ tag: '!secret', resolve: (value: string) => value }];
  try {
    const document = parseDocument(text, { customTags });
    return document.errors.length + document.warnings.length > 0
      ? undefined
      : JSON.stringify(document.toJS());
  } catch {
    return undefined;
  }
}

test('a few of them as processes of their own', async () => {
  for (const one of [BROKEN.playbooks[0], BROKEN.inventories[0], BROKEN.templates[0]]) {
    if (!one) throw new Error('nothing is broken');
    writeFileSync(one.file, one.text);
    const paths = one.file === INVENTORY ? [INVENTORY] : [readerOf(one.file), '-i', INVENTORY];
    const { code, stderr } = await drillbook(['lint', ...paths]);
    writeFileSync(one.file, good.get(one.file) ?? '');
    expect([code, CRASH.test(stderr)]).toEqual([2, false]);
    expect(stderr).toContain(`${basename(one.file)}:`);
  }
});
