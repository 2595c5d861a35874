import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { finished, project } from '../run/_engine.ts';
import type { Project, Ran } from '../run/_engine.ts';
import { freshLab } from './_fresh.ts';

let lab: Lab;
const addressOf = (name: string): string => lab.nodes.find((node) => node.name === name)?.address ?? '';
const here = (): string => addressOf('inner').replace(/\.\d+$/, '.1');

/** The way to a node back to an address ends in nothing: from there it cannot be reached. */
const hide = (node: string, from: string) => lab.ssh(node, `ip route replace blackhole ${from}/32`);

/** The database behind the inner bastion, that behind the outer one; each speaks only with the one before it. */
async function wall(): Promise<void> {
  await hide('inner', here());
  await hide('db', addressOf('outer'));
  await hide('db', here());
}

beforeAll(async () => {
  lab = await freshLab({ name: 'test-bastions', database: 'mariadb', nodes: ['outer', 'inner', 'db'] });
  await wall();
});
afterAll(() => lab?.down());

/** The way through the bastions stands in ssh_config: the second names the first. */
function behindBastions(tasks: string, connection: string, timeout = '20s'): Project {
  const book = project(`plays:\n  - hosts: db\n    tasks:\n${tasks.replace(/^(?=.)/gm, '      ')}`);
  book.write(
    'ssh_config',
    `Host outer\n  HostName ${addressOf('outer')}\nHost inner\n  HostName ${addressOf('inner')}\n  ProxyJump outer\n` +
      `Host *\n  User root\n  IdentityFile ${join(lab.dir, 'id_ed25519')}\n  IdentitiesOnly yes\n` +
      `  UserKnownHostsFile ${join(lab.dir, 'known_hosts')}\n`,
  );
  book.write(
    'inventory.yml',
    `connection: { ssh_config: ssh_config, connect_timeout: ${timeout}, ${connection} }\n` +
      `hosts: { db: { connection: { address: ${addressOf('db')} } } }\n`,
  );
  return book;
}

/** Why the host could not be reached. */
const whyOf = (ran: Ran): string | undefined =>
  ran.events.flatMap((event) =>
    event.event === 'step_finished' && event.outcome === 'unreachable' ? [event.reason] : [],
  )[0];

/** Lines of a file on the node's disk, seen from outside: no way leads there from here. */
function linesOf(path: string): number {
  const file = join(lab.dir, 'nodes', 'db', 'disk', path);
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
}

test('a host behind two bastions is reached through both, and only so', async () => {
  const tasks = `- { name: from where, shell: 'echo $SSH_CLIENT' }`;
  const ran = await behindBastions(tasks, 'proxy_jump: inner').go();
  expect(finished(ran, 'from where').result['stdout']).toContain(`${addressOf('inner')} `);
  const straight = await behindBastions(tasks, 'proxy_jump: none', '8s').go();
  expect(whyOf(straight)).toMatch(/^db \(\S+:22\) did not answer within 8 s/);
  const halfway = await behindBastions(tasks, 'proxy_jump: outer', '8s').go();
  expect(whyOf(halfway)).toMatch(/^db \(\S+:22\) did not answer jump host outer within 8 s/);
});

test('a bastion dies under a run; the resume finds what was begun, and nothing happens twice', async () => {
  // Another network, that the wall does not touch: the command ends when the bastion is back.
  const outer = lab.nodes.find(({ name }) => name === 'outer')?.addresses.net1 ?? '';
  const isThere = `ping -qc1 -W1 ${outer} >/dev/null`;
  const book = behindBastions(
    `- { name: before, shell: 'echo x >> /root/before' }
- name: long
  shell: 'echo x >> /root/long; while ${isThere}; do sleep 0.2; done; until ${isThere}; do sleep 0.2; done; echo done'
- { name: after, shell: 'echo x >> /root/after' }`,
    'proxy_jump: inner, reconnect_timeout: 3s',
  );
  let death: Promise<void> | undefined;
  const first = await book.go({
    onEvent(event) {
      if (event.event !== 'step_started' || event.name !== 'long') return;
      death = (async () => {
        await expect.poll(() => linesOf('root/long'), { timeout: 60_000, interval: 20 }).toBe(1);
        // Of a loss that nobody tells us a keepalive knows only after some seconds.
        await lab.ssh('outer', 'pkill -f sshd:.root@notty');
        await lab.powerOff('outer');
      })();
    },
  });
  await death;
  expect([first.code, first.story]).toEqual([4, ['before changed', 'long in_doubt']]);
  await lab.powerOn('outer');
  const second = await book.go({}, first.run);
  expect([second.code, second.story]).toEqual([0, ['long changed', 'after changed']]);
  expect(['before', 'long', 'after'].map((name) => linesOf(`root/${name}`))).toEqual([1, 1, 1]);
});
