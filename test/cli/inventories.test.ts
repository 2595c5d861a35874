import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { project } from '../run/_engine.ts';
import type { Project } from '../run/_engine.ts';
import { addUser, startSshd } from '../transports/_sshd.ts';
import type { Sshd, TestUser } from '../transports/_sshd.ts';
import { drillbook, eventsOf } from './_drillbook.ts';
import { onTerminal } from './_terminal.ts';

/** Of a pair, what the stack cannot do without. */
const SETTINGS = JSON.stringify({
  heartbeats: [{ addresses: { n1: '10.0.0.1', n2: '10.0.0.2' } }],
  vips: [{ address: '10.0.0.3', prefix: 24, interfaces: { n1: 'eth0', n2: 'eth0' } }],
});
const WORD = `tasks: [{ name: say, shell: 'echo {{word}} >> {{dir}}/said' }]`;

/** A program that prints an inventory of this machine, with `word`, and writes down that it ran. */
function withProgram(book: Project, word: string): string {
  const hosts = JSON.stringify({
    g: { hosts: ['h1'], vars: { ansible_connection: 'local', dir: book.dir, word } },
    _meta: { hostvars: {} },
  });
  const path = book.write('inv.sh', `#!/bin/sh\necho ran >> ${book.dir}/ran\ncat <<'END'\n${hosts}\nEND\n`);
  chmodSync(path, 0o755);
  return path;
}

const linesOf = (book: Project, name: string): string[] =>
  readFileSync(join(book.dir, name), 'utf8').trim().split('\n');

test('several inventories, Ansible’s and drillbook’s own, are one', async () => {
  const book = project(WORD);
  const ini = book.write(
    'hosts.ini',
    `[dbk]\nh1\nh2\n[all:vars]\nansible_connection=local\ndir=${book.dir}\n`,
  );
  const more = book.write('more.yml', 'groups: { dbk: { vars: { word: both } } }\n');
  book.write('group_vars/all.yml', `word: beside the playbook\n`);
  const said = await drillbook([
    ...['run', book.playbook, '-i', ini, '-i', more, '--state', book.state, '--output', 'jsonl'],
  ]);
  expect([said.stderr, said.code]).toEqual(['', 0]);
  expect(eventsOf(said)[0]).toMatchObject({ inventory: `${ini},${more}`, hosts: ['h1', 'h2'] });
  expect(linesOf(book, 'said')).toEqual(['beside the playbook', 'beside the playbook']);
});

test('a variable with Jinja, or under a name of the language, is in the way only of a playbook that uses it', async () => {
  const book = project(WORD);
  const ini = book.write(
    'hosts.ini',
    `h1 ansible_connection=local dir=${book.dir} cluster=theirs word="{{ inner }}"\n`,
  );
  book.write('group_vars/all.yml', `inner: plain\nother: '{{ x | default(1) }}'\nhost: theirs\n`);
  const where = ['-i', ini, '--state', book.state];
  expect((await drillbook(['run', book.playbook, ...where])).code).toBe(0);
  expect(linesOf(book, 'said')).toEqual(['plain']);

  book.write('group_vars/all.yml', `inner: '{{ x | default(1) }}'\n`);
  const said = await drillbook(['plan', book.playbook, ...where]);
  expect(said.code).toBe(2);
  expect(said.stderr).toMatch(/group_vars\/all.yml:1:\d+: error: /);
  expect(said.stderr).toContain('templates are Handlebars, not Jinja');
});

describe('an inventory that a program prints', () => {
  test('is what it was when the run began, for its resume', async () => {
    const book = project(`tasks:
  - { name: say, shell: 'echo {{word}} >> {{dir}}/said' }
  - { name: gate, shell: 'test -e {{dir}}/open' }
  - { name: again, shell: 'echo {{word}} >> {{dir}}/said' }
`);
    const program = withProgram(book, 'first');
    const state = ['--state', book.state, '--output', 'jsonl'];
    expect((await drillbook(['run', book.playbook, '-i', program, ...state])).code).toBe(1);
    expect(linesOf(book, 'ran')).toHaveLength(1);

    withProgram(book, 'second');
    book.write('open', '');
    const resumed = await drillbook(['resume', ...state]);
    expect([resumed.stderr, resumed.code]).toEqual(['', 0]);
    expect(linesOf(book, 'said')).toEqual(['first', 'first']);
    expect(linesOf(book, 'ran')).toHaveLength(1);
  });

  test('is run anew, and held against what has finished, with --accept-changes', async () => {
    const book = project(`tasks:
  - { name: gate, shell: 'test -e {{dir}}/open' }
  - { name: say, shell: 'echo {{word}} >> {{dir}}/said' }
`);
    const program = withProgram(book, 'first');
    const state = ['--state', book.state, '--output', 'jsonl'];
    await drillbook(['run', book.playbook, '-i', program, ...state]);
    withProgram(book, 'second');
    book.write('open', '');
    expect((await drillbook(['resume', '--accept-changes', ...state])).code).toBe(0);
    expect(linesOf(book, 'said')).toEqual(['second']);
  });

  test('is not run by lint, unless -i names it', async () => {
    const book = project(WORD);
    const program = withProgram(book, 'x');
    const refused = await drillbook(['lint', program]);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringContaining('is a program, and lint runs none'),
    ]);
    expect(() => linesOf(book, 'ran')).toThrow('ENOENT');
    expect((await drillbook(['lint', book.playbook, '-i', program])).code).toBe(0);
    expect(linesOf(book, 'ran')).toHaveLength(1);
  });
});

test('lint takes Ansible’s inventories, and a file of clusters alone', async () => {
  const book = project(WORD);
  book.write('folder/hosts.yml', 'all: { hosts: { h1: { a: yes } } }\n');
  book.write(
    'folder/clusters.yml',
    `clusters: { dbk: { stack: dbackup, nodes: [n1, n2], settings: ${SETTINGS} } }\n`,
  );
  const ini = book.write('hosts.ini', '[g]\nh[1:2] x=1\n');
  const fine = await drillbook(['lint', join(book.dir, 'folder'), ini]);
  expect([fine.stderr, fine.stdout, fine.code]).toEqual(['', '3 files in order\n', 0]);
  const wrong = await drillbook(['lint', book.write('bad.ini', '[g\nh1 x\n')]);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('bad.ini:2:4: error: `x`: NAME=VALUE is wanted behind a host');
});

describe('passwords that are asked for', () => {
  let sshd: Sshd;
  let user: TestUser;
  beforeAll(async () => {
    sshd = await startSshd();
    user = addUser('ALL=(ALL) ALL');
  });
  afterAll(async () => {
    user.remove();
    await sshd.stop();
  });

  const passwordBook = (): Project => {
    const book = project(`tasks: [{ name: who, shell: 'id -un; cat /proc/$PPID/cmdline', become: true }]`);
    book.write(
      'hosts.ini',
      `node ansible_host=127.0.0.1 ansible_port=${sshd.port} ansible_user=${user.name} ` +
        `ansible_ssh_private_key_file=/missing ansible_ssh_common_args="-F /dev/null -o UserKnownHostsFile=${sshd.knownHosts}"\n`,
    );
    return book;
  };

  test('-k and -K ask once, on the terminal, and show nothing of it', async () => {
    const book = passwordBook();
    const { code, screen } = await onTerminal(
      [
        'run',
        book.playbook,
        '-i',
        join(book.dir, 'hosts.ini'),
        '--state',
        book.state,
        '-k',
        '-K',
        '--output',
        'plain',
        '-v',
      ],
      [
        ['SSH password: ', `${user.password}\r`],
        ['Become password [the SSH password]: ', '\r'],
      ],
    );
    expect(screen).toContain('root');
    expect(code).toBe(0);
    expect(screen).not.toContain(user.password);
  });

  test('without a terminal they are refused before anything is touched', async () => {
    const book = passwordBook();
    const said = await drillbook([
      'run',
      book.playbook,
      '-i',
      join(book.dir, 'hosts.ini'),
      '--state',
      book.state,
      '-K',
    ]);
    expect([said.code, said.stderr]).toEqual([
      2,
      expect.stringContaining('--ask-become-pass: there is no terminal to ask on'),
    ]);
  });
});
