import { expect, test } from 'vitest';
import { ledgerOf } from '../../engine/run/obligations/obligations.ts';
import { finished, project, run } from '../run/_engine.ts';
import type { Ran } from '../run/_engine.ts';

const INVENTORY = `
connection: { transport: local }
hosts:
  here: {}
  away: { connection: { transport: ssh, address: 127.0.0.1, port: 1 } }
`;

const openOf = (ran: Ran): string[] =>
  ledgerOf(ran.events)
    .open()
    .map(({ obligation, message }) => `${obligation}: ${message}`);

test('what could not be done on a host that is away is noted, and the run does not end well', async () => {
  const ran = await run(
    `
tasks:
  - { name: asked, command: 'true', ignore_errors: true, register: answer }
  - { name: noted, when: answer.failed, obligation: { name: to-do, message: '{{host.name}} was away' } }
`,
    { inventory: INVENTORY },
  );
  expect(finished(ran, 'noted', 'away').outcome).toBe('changed');
  expect(finished(ran, 'noted', 'here').outcome).toBe('skipped');
  expect(openOf(ran)).toEqual(['to-do@away: away was away']);
  expect(ran.code).toBe(4);
});

test('it is closed by its name, and then nothing is open', async () => {
  const book = project(`
tasks:
  - { name: opened, obligation: { name: to-do, message: what is to do } }
  - { name: closed, obligation: { name: to-do, state: closed } }
`);
  const ran = await book.go();
  expect([ran.code, openOf(ran)]).toEqual([0, []]);
  expect(ran.events.map(({ event }) => event)).toContain('obligation_opened');
});

test('one that is open says what is to be put right', async () => {
  await expect(run(`tasks: [{ obligation: { name: to-do } }]`)).rejects.toMatchObject({
    problems: [{ message: expect.stringContaining('an open one has a `message`') as string }],
  });
});
