import { expect, test } from 'vitest';
import { run } from './_engine.ts';

test('handlers run once, at the end, in the order of their definition, and only when something changed', async () => {
  const { story } = await run(`
tasks:
  - { name: one, command: 'true', notify: [second, first] }
  - { name: two, command: 'true', notify: first }
  - { name: same, command: 'true', changed_when: false, notify: third }
  - { name: last, command: 'true' }
handlers:
  - { name: first, command: 'true' }
  - { name: second, command: 'true' }
  - { name: third, command: 'true' }
`);
  expect(story).toEqual([
    'one changed',
    'two changed',
    'same ok',
    'last changed',
    'first changed',
    'second changed',
  ]);
});

test('a handler may notify another, whichever stands first', async () => {
  const { story } = await run(`
tasks: [{ name: one, command: 'true', notify: middle }]
handlers:
  - { name: early, command: 'true' }
  - { name: middle, command: 'true', notify: [early, late] }
  - { name: late, command: 'true' }
`);
  expect(story).toEqual(['one changed', 'middle changed', 'late changed', 'early changed']);
});

test('flush runs what waits at once, and what is notified later runs again at the end', async () => {
  const { story } = await run(`
tasks:
  - { name: one, command: 'true', notify: restart }
  - flush:
  - { name: two, command: 'true', notify: restart }
handlers: [{ name: restart, command: 'true' }]
`);
  expect(story).toEqual(['one changed', 'restart changed', 'two changed', 'restart changed']);
});

test('only the hosts that changed run the handler', async () => {
  const { story } = await run(
    `
tasks: [{ name: one, command: 'true', changed_when: host.name == "b", notify: restart }]
handlers: [{ name: restart, command: 'true' }]
`,
    { hosts: ['a', 'b'] },
  );
  expect(story.toSorted()).toEqual(['one@a ok', 'one@b changed', 'restart@b changed']);
});

test('names of handlers may be templates, on either side, and speak of the item that changed', async () => {
  const { story } = await run(`
vars: { unit: nginx }
tasks:
  - { name: one, command: 'true', notify: 'restart {{unit}}' }
  - { name: each, command: 'true', loop: [x, y], changed_when: item == 'y', notify: 'reload {{item}}' }
handlers:
  - { name: 'restart {{unit}}', command: 'true' }
  - { name: reload x, command: 'true' }
  - { name: reload y, command: 'true' }
`);
  expect(story).toEqual(['one changed', 'each changed', 'restart nginx changed', 'reload y changed']);
});

test('a notified handler runs under --tags too', async () => {
  const { story } = await run(
    `
tasks:
  - { name: one, command: 'true', tags: config, notify: restart }
  - { name: two, command: 'true' }
handlers: [{ name: restart, command: 'true' }]
`,
    { selection: { tags: ['config'] } },
  );
  expect(story).toEqual(['one changed', 'restart changed']);
});

test('a host that failed runs no handlers', async () => {
  const { story, code } = await run(`
tasks:
  - { name: one, command: 'true', notify: restart }
  - { name: two, command: 'false' }
handlers: [{ name: restart, command: 'true' }]
`);
  expect(story).toEqual(['one changed', 'two failed']);
  expect(code).toBe(1);
});
