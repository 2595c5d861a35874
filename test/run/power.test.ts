import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { finished, project } from './_engine.ts';
import type { Project } from './_engine.ts';
import { freshLab } from '../lab/_fresh.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await freshLab({ name: 'matrix-power', database: 'mariadb', nodes: ['dbk1'] });
});
afterAll(() => lab?.down());

/** A playbook on the only node; `local` is this machine. */
function onNode(tasks: string): Project {
  const book = project(tasks);
  const { address = '' } = lab.nodes[0] ?? {};
  const connection = `{ address: ${address}, user: root, identity_file: ${join(lab.dir, 'id_ed25519')}, known_hosts: ${join(lab.dir, 'known_hosts')}, ssh_config: /dev/null }`;
  book.write(
    'inventory.yml',
    `vars: { book: '${book.dir}' }\nhosts:\n  node: { connection: ${connection}, vars: { dir: /root } }\n  here: { connection: { transport: local } }\n`,
  );
  return book;
}

const onlyNode = (tasks: string): Project =>
  onNode(`plays:\n  - hosts: node\n    tasks:\n${tasks.replace(/^(?=.)/gm, '      ')}`);

const linesOf = async (file: string): Promise<number> =>
  Number((await lab.ssh('dbk1', `cat ${file} 2>/dev/null | wc -l`)).stdout);

async function cycle(): Promise<void> {
  await lab.powerOff('dbk1');
  await lab.powerOn('dbk1');
}

test('a node that loses its power between two steps is waited for, and nothing is in doubt', async () => {
  const book = onlyNode(`
- { name: first, shell: 'echo x >> {{dir}}/between; sync' }
- { name: meanwhile, shell: 'while ! test -e {{book}}/off; do sleep 0.1; done', delegate_to: here }
- { name: second, shell: 'echo x >> {{dir}}/between' }
- { name: state, copy: { dest: '{{dir}}/state', content: x } }
`);
  const ran = await book.go({
    onEvent(event) {
      if (event.event === 'host_away') void lab.powerOn('dbk1');
      if (event.event !== 'step_started' || event.name !== 'meanwhile') return;
      // Its sessions end first: of a loss that nobody tells us a keepalive knows only after some seconds.
      void lab
        .ssh('dbk1', 'pkill -f sshd:.root@notty')
        .then(() => lab.powerOff('dbk1'))
        .then(() => book.write('off', ''));
    },
  });
  expect([ran.code, ran.story]).toEqual([
    0,
    ['first changed', 'meanwhile changed', 'second changed', 'state changed'],
  ]);
  expect(await linesOf('/root/between')).toBe(2);
});

test('a node that loses its power under an action: in doubt, with what is known, until somebody decides', async () => {
  const book = onlyNode(`
- { name: slow, shell: 'echo x >> {{dir}}/slow; sync; echo on the way; sleep 30' }
- { name: after, shell: 'echo x >> {{dir}}/after' }
`);
  const ran = await book.go({
    onEvent(event) {
      if (event.event !== 'step_started' || event.name !== 'slow') return;
      void (async () => {
        while ((await linesOf('/root/slow')) === 0);
        await cycle();
      })();
    },
  });
  expect([ran.code, ran.story]).toEqual([4, ['slow in_doubt']]);
  expect(finished(ran, 'slow').reason).toContain('was rebooted while it ran; it had said: on the way');
  const still = await book.go({}, ran.run);
  expect([still.code, still.story]).toEqual([4, ['slow in_doubt']]);
  const decided = await book.go({ request: { onInterrupt: 'skip' } }, ran.run);
  expect([decided.code, decided.story]).toEqual([0, ['slow skipped', 'after changed']]);
  expect([await linesOf('/root/slow'), await linesOf('/root/after')]).toEqual([1, 1]);
});

test('an action that may be run again after a loss of power is, where the task says so', async () => {
  const book = onlyNode(`
- name: slow
  shell: 'echo x >> {{dir}}/again; sync; test $(wc -l < {{dir}}/again) -ge 2 || sleep 30'
  on_interrupt: rerun
`);
  const ran = await book.go({
    onEvent(event) {
      if (event.event !== 'step_started' || event.name !== 'slow') return;
      void (async () => {
        while ((await linesOf('/root/again')) === 0);
        await cycle();
      })();
    },
  });
  expect([ran.code, ran.story]).toEqual([0, ['slow changed']]);
  expect(await linesOf('/root/again')).toBe(2);
});
