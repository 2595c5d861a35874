import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { finished, project } from './_engine.ts';
import type { Ran } from './_engine.ts';

const as = (ran: Ran): string[] =>
  ran.events.flatMap((event) =>
    event.event === 'step_finished' ? [`${event.name} ${String(event.result['stdout']).trim()}`] : [],
  );

/** Runs `plays` on this machine, as the user daemon by su where a task says nothing. */
async function runAs(plays: string): Promise<Ran> {
  const book = project(plays);
  writeFileSync(
    book.inventory,
    'connection: { transport: local }\nbecome: { method: su, password: inventory-pass-1 }\n' +
      'hosts: { a: { become: { user: daemon } } }\n',
  );
  return book.go();
}

test('a task’s become goes over the inventory’s, and leaves what it does not speak of', async () => {
  const ran = await runAs(`
tasks:
  - { name: inventory, command: whoami }
  - { name: nobody, command: whoami, become: false }
  - { name: user, command: whoami, become: { user: sys } }
  - { name: same, command: whoami, become: true }
`);
  expect(as(ran)).toEqual(['inventory daemon', 'nobody root', 'user sys', 'same daemon']);
});

test('become of a play and a block reaches their tasks; true alone means the one around it', async () => {
  const ran = await runAs(`
plays:
  - hosts: all
    become: { user: sys }
    tasks:
      - { name: play, command: whoami }
      - { name: same, command: whoami, become: true }
      - become: { user: bin }
        block:
          - { name: block, command: whoami }
          - { name: off, command: whoami, become: false }
`);
  expect(as(ran)).toEqual(['play sys', 'same sys', 'block bin', 'off root']);
});

test('the password of a task’s become is masked', async () => {
  const ran = await runAs(`
vars: { word: task-pass-2 }
plays:
  - hosts: all
    tasks:
      - { name: one, command: 'echo task-pass-2', become: { password: '{{word}}' } }
`);
  expect(finished(ran, 'one').result['stdout']).not.toContain('task-pass-2');
});
