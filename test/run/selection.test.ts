import { expect, test } from 'vitest';
import type { Selection } from '../../engine/plan/selection.ts';
import { project, run } from './_engine.ts';

const TASKS = `
tasks:
  - { name: one, command: 'true', tags: config }
  - { name: two, command: 'true', tags: 'restart, slow' }
  - { name: every, command: 'true', tags: always }
  - { name: rare, command: 'true', tags: [never, debug] }
  - block: [{ name: inside, command: 'true' }]
    tags: config
  - { name: plain, command: 'true' }
`;

test.each<[string, Selection, string]>([
  ['nothing chosen: all but never', {}, 'one two every inside plain'],
  ['--tags', { tags: ['config'] }, 'one every inside'],
  ['--tags of two', { tags: ['config', 'slow'] }, 'one two every inside'],
  ['--tags all, as nothing chosen', { tags: ['all'] }, 'one two every inside plain'],
  ['--tags tagged', { tags: ['tagged'] }, 'one two every inside'],
  ['--tags untagged', { tags: ['untagged'] }, 'every plain'],
  ['--skip-tags tagged', { skipTags: ['tagged'] }, 'plain'],
  ['--skip-tags all', { skipTags: ['all'] }, 'every'],
  ['--tags that names a never', { tags: ['debug'] }, 'every rare'],
  ['--skip-tags', { skipTags: ['config', 'slow'] }, 'every plain'],
  ['--skip-tags always', { skipTags: ['always'] }, 'one two inside plain'],
  ['--start-at a name', { startAt: 'every' }, 'every inside plain'],
  ['--start-at an id', { startAt: 'all/inside' }, 'inside plain'],
])('%s', async (_name, selection, wanted) => {
  const { story } = await run(TASKS, { selection });
  expect(story.map((line) => line.split(' ')[0]).join(' ')).toBe(wanted);
});

test.each([{ tags: ['confg'] }, { skipTags: ['confg'] }])(
  'a tag that no step has is an error: %j',
  async (selection) => {
    await expect(run(TASKS, { selection })).rejects.toThrow(
      expect.objectContaining({ code: 'usage.tags', hint: 'did you mean `config`?' }),
    );
  },
);

test.each([
  ['a', 'a'],
  ['!b', 'a c'],
  ['pair', 'a b'],
  ['pair,&late', 'b'],
  ['[bc]', 'b c'],
])('--limit %s leaves %s', async (limit, wanted) => {
  const { story } = await run(`tasks: [{ name: one, command: 'true' }]`, {
    inventory: `
connection: { transport: local }
hosts: { a: {}, b: {}, c: {} }
groups: { pair: { hosts: [a, b] }, late: { hosts: [b, c] } }
`,
    selection: { limit },
  });
  const hosts = story.map((line) => /@(\w)/.exec(line)?.[1] ?? wanted).toSorted();
  expect(hosts.join(' ')).toBe(wanted);
});

test('hosts of a play may come from an input, and are checked before the run', async () => {
  const playbook = `
inputs: { target: { type: string } }
plays: [{ hosts: '{{inputs.target}}', tasks: [{ name: one, command: 'true' }] }]
`;
  const { events } = await run(playbook, { hosts: ['a', 'b'], given: { target: 'b' } });
  expect(events.find((event) => event.event === 'play_started')?.hosts).toEqual(['b']);
  await expect(run(playbook, { hosts: ['a', 'b'], given: { target: 'x' } })).rejects.toThrow(
    expect.objectContaining({ problems: [expect.objectContaining({ code: 'plan.hosts' })] }),
  );
});

test('includes nest, take variables, and may be used more than once', async () => {
  const { story, code } = await run(
    `
tasks:
  - { include: tasks/outer.yml, vars: { word: first } }
  - { include: tasks/outer.yml, vars: { word: second } }
  - { include: tasks/outer.yml, vars: { word: third }, when: 1 > 2 }
`,
    {
      files: {
        'tasks/outer.yml': `- include: inner.yml\n- { name: 'outer {{word}}', command: 'true' }\n`,
        'tasks/inner.yml': `- { name: 'inner {{word}}', command: 'true' }\n`,
      },
    },
  );
  expect(story).toEqual([
    'inner first changed',
    'outer first changed',
    'inner second changed',
    'outer second changed',
    'inner third skipped',
    'outer third skipped',
  ]);
  expect(code).toBe(0);
});

test('an invariant, a guard and a wrong confirmation stop the run with exit code 5', async () => {
  const book = project(`
name: T
confirm: Really?
plays: [{ hosts: all, tasks: [{ name: one, command: 'true' }] }]
`);
  const refused = await book.go();
  expect([refused.code, refused.story]).toEqual([5, []]);
  expect(refused.events.at(-1)).toMatchObject({ event: 'run_finished', outcome: 'stopped', exitCode: 5 });
  const wrong = await book.go({ request: { code: 'abc' } });
  expect([wrong.code, wrong.story]).toEqual([5, []]);
  const code = /--yes (\w+)/.exec(JSON.stringify(refused.events.at(-1)))?.[1];
  expect((await book.go({ request: { code } })).story).toEqual(['one changed']);
});
