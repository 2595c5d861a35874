import { expect, test } from 'vitest';
import { project } from '../run/_engine.ts';
import { drillbook } from './_drillbook.ts';

const BOOK = `
name: T
inputs: { size: { type: integer, default: 1 } }
vars: { through: '{{acted.stdout}}', plain: one }
plays:
  - name: P
    hosts: all
    gather: true
    tasks:
      - { name: known, command: 'echo {{inputs.size}} {{plain}}' }
      - { name: by facts, command: 'true', when: "facts.os.id == 'debian'" }
      - { name: reads, shell: 'cat x', check_mode: false, register: seen }
      - { name: by what was read, debug: '{{seen.stdout}}' }
      - { name: acts, shell: 'make', register: acted, notify: later }
      - { name: by what was done, file: { path: '/x/{{acted.stdout}}', state: absent } }
      - { name: through a variable, debug: '{{through}}' }
      - { name: sets, set: { kept: '{{seen.stdout}}' } }
      - { name: by what was set, debug: '{{kept}}' }
      - block: [{ name: inner, command: 'true' }]
        rescue: [{ name: rescues, command: 'true' }]
      - { name: last, command: 'true', tags: t }
    handlers:
      - { name: later, command: 'true' }
`;

interface StepJson {
  readonly name: string;
  readonly foresight: string;
  readonly because: readonly string[];
  readonly isSelected: boolean;
}

interface BlockJson {
  readonly block: readonly NodeJson[];
  readonly rescue: readonly NodeJson[];
  readonly always: readonly NodeJson[];
}
type NodeJson = StepJson | BlockJson;

/** Steps of a play as `plan --output json` has them, those in blocks too. */
const flat = (nodes: readonly NodeJson[]): StepJson[] =>
  nodes.flatMap((node) => ('block' in node ? flat([...node.block, ...node.rescue, ...node.always]) : [node]));

async function planOf(text: string, ...args: string[]) {
  const book = project(text);
  return drillbook(['plan', book.playbook, '-i', book.inventory, ...args]);
}

test('plan marks each step as known, unknown until run, or not foreseeable, and says why', async () => {
  const { stdout } = await planOf(BOOK, '--output', 'json');
  const { plays } = JSON.parse(stdout) as { plays: { steps: NodeJson[]; handlers: StepJson[] }[] };
  const steps = [...flat(plays[0]?.steps ?? []), ...(plays[0]?.handlers ?? [])];
  expect(steps.map(({ name, foresight, because }) => [name, foresight, ...because])).toEqual([
    ['Gather facts', 'known'],
    ['known', 'known'],
    ['by facts', 'unknown_until_run', 'facts'],
    ['reads', 'known'],
    ['by what was read', 'unknown_until_run', 'seen (p/reads)'],
    ['acts', 'known'],
    ['by what was done', 'not_foreseeable', 'acted (p/acts)'],
    ['through a variable', 'not_foreseeable', 'acted (p/acts)'],
    ['sets', 'unknown_until_run', 'seen (p/reads)'],
    ['by what was set', 'unknown_until_run', 'kept (p/sets)'],
    ['inner', 'known'],
    ['rescues', 'unknown_until_run', 'only where a step before it fails'],
    ['last', 'known'],
    ['later', 'unknown_until_run', 'only where it is notified'],
  ]);
  const text = (await planOf(BOOK)).stdout;
  expect(text).toMatch(/by what was done .*not foreseeable: acted \(p\/acts\)/);
  expect(text).toMatch(/by facts .*unknown until run: facts/);
  expect(text).toMatch(/last .*tags t\]/);
});

test('what check mode tells agrees: steps that are not foreseeable are skipped as such, all others are told', async () => {
  const book = project(`
tasks:
  - { name: acts, shell: 'echo yes', register: acted }
  - { name: reads, shell: 'echo yes', check_mode: false, register: seen }
  - { name: by action, debug: { msg: '{{acted.stdout}}' } }
  - { name: by look, debug: { msg: '{{seen.stdout}}' } }
`);
  const { story } = await book.go({ isCheck: true });
  expect(story).toEqual(['acts changed', 'reads changed', 'by action skipped', 'by look ok']);
});

test.each([
  ['p/acts', 'leaves out `reads`, and `sets` needs `seen` from it', 'start at p/reads'],
  ['by what was set', 'leaves out `sets`, and `by what was set` needs `kept` from it', 'start at p/sets'],
])(
  '--start-at %s leaves out what is needed later: refused, with where it is given',
  async (at, why, where) => {
    const said = await planOf(BOOK, '--start-at', at);
    expect(said.stderr).toContain(why);
    expect(said.stderr).toContain(where);
    expect(said.code).toBe(2);
  },
);

test('what guards a pair is told by plan, by the run and in its report', async () => {
  const book = project('name: T\nplays: [{ name: P, hosts: localhost, tasks: [{ debug: x }] }]\n');
  const each = (word: string): string => `{ a: ${word}a, b: ${word}b }`;
  book.write(
    'inventory.yml',
    `hosts: { localhost: { connection: { transport: local } }, a: {}, b: {} }
clusters:
  pair:
    stack: kwdb
    nodes: [a, b]
    settings:
      drbd: { resource: r0, device: /dev/drbd0, disks: ${each('/dev/')}, addresses: ${each('10.')}, secret: s }
      filesystem: { directory: /d, type: ext4 }
      corosync: { links: [${each('10.')}] }
      arbitration: none
      service: s
      vip: { address: 10.0.0.9 }
`,
  );
  const args = [book.playbook, '-i', book.inventory];
  const text = 'none: when the link between the nodes breaks both serve';
  expect((await drillbook(['plan', ...args])).stdout).toContain(`Protection of pair: ${text}`);
  const { stdout } = await drillbook(['plan', ...args, '--output', 'json']);
  const { protection } = JSON.parse(stdout) as { protection: Record<string, string> };
  expect(protection['pair']).toContain(text);
  const ran = await drillbook(['run', ...args, '--state', book.state, '--output', 'plain']);
  expect(ran.stdout.split(`pair: ${text}`)).toHaveLength(3);
  const report = await drillbook(['report', '--format', 'json', '--state', book.state]);
  expect((JSON.parse(report.stdout) as typeof ran & { protection: unknown }).protection).toEqual(protection);
});

test('--start-at takes an id, a name, the end of an id, and tells the nearest', async () => {
  for (const at of ['p/last', 'last', 'LAST', 'inner']) {
    const { stdout, code } = await planOf(BOOK, '--start-at', at, '--output', 'json');
    expect([at, code]).toEqual([at, 0]);
    const [play] = (JSON.parse(stdout) as { plays: { steps: NodeJson[] }[] }).plays;
    const chosen = flat(play?.steps ?? []).filter(({ isSelected }) => isSelected);
    expect(chosen.at(-1)?.name).toBe('last');
    expect(chosen.map(({ name }) => name)).not.toContain('acts');
  }
  const wrong = await planOf(BOOK, '--start-at', 'lasst');
  expect([wrong.code, wrong.stderr.includes('did you mean `last`?')]).toEqual([2, true]);
});

test('a run tells what it leaves out before it begins', async () => {
  const book = project(`tasks: [{ name: one, command: 'true' }, { name: two, command: 'true', tags: t }]`);
  const where = [book.playbook, '-i', book.inventory, '--state', book.state];
  expect((await drillbook(['run', ...where, '--start-at', 'two'])).stderr).toBe('1 step is left out: one\n');
  expect((await drillbook(['run', ...where, '--tags', 't'])).stderr).toBe('1 step is left out: one\n');
  expect((await drillbook(['run', ...where])).stderr).toBe('');
});

test.each([
  ['--list-tasks', 'drillbook plan'],
  ['--syntax-check', 'drillbook lint'],
  ['--start-at-task', '`--start-at`'],
  ['--chekc', 'did you mean `--check`?'],
])('an option of Ansible is told by where it is here: %s', async (option, hint) => {
  const { code, stderr } = await drillbook(['run', 'book.yml', option]);
  expect(stderr).toContain(hint);
  expect(code).toBe(2);
});

test('what a template file speaks of counts too', async () => {
  const book = project(
    `
name: T
plays: [{ name: P, hosts: all, gather: true, tasks: [{ name: renders, template: { src: page.hbs, dest: /x } }] }]
`,
    { files: { 'page.hbs': 'os {{facts.os.id}}\n' } },
  );
  const { stdout } = await drillbook(['plan', book.playbook, '-i', book.inventory]);
  expect(stdout).toMatch(/renders .*unknown until run: facts/);
});
