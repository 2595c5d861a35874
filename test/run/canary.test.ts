import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { nodeDir } from '../../engine/lab/state.ts';
import { newIdentity, recipientOf, sealAge } from '../../engine/secrets/age.ts';
import { ensurePackages } from '../_apt.ts';
import { drillbook, start } from '../cli/_drillbook.ts';
import { onTerminal } from '../cli/_terminal.ts';
import { freshLab } from '../lab/_fresh.ts';
import { canariesOf, findIn, findUnder, traceExecs, watchProcesses } from './_canary.ts';
import type { Found, Watch } from './_canary.ts';

const NODE = 'canary1';

/** From a seed that changes with every test process, and is told when something is found. */
const seed = `${process.pid}-${Date.now()}`;
const random = (name: string, length: number): string =>
  createHash('sha256')
    .update(`${seed} ${name}`)
    .digest('base64')
    .replace(/[^A-Za-z]/g, 'q')
    .slice(0, length);

/** In an encrypted file; nobody marked any of them as a secret. */
const VALUES = {
  plain: `cnry-${random('plain', 24)}`,
  quotes: `c'${random('quotes', 12)}"\\$(id)\`;&<${random('more', 4)} %`,
  lines: `first-${random('one', 12)}\nsecond-${random('two', 12)}\n`,
  short: `#${random('short', 4)}7`,
  unicode: `пароль-ü-🔑-${random('unicode', 10)}`,
  number: String(10_000_000_000 + (process.pid % 1000) * 7_777_777 + (Date.now() % 1_000_000)),
  nested: `deep ${random('nested', 14)}`,
  listed: `item-${random('listed', 14)}`,
  account: `Acc0unt-${random('account', 12)}'"\\`,
  hidden: `nolog-${random('hidden', 16)}`,
  input: `input-${random('input', 16)}`,
  become: `sudo-${random('become', 12)}`,
};
const CANARIES = canariesOf(VALUES);

const secretsYaml = (): string =>
  [
    ...(['plain', 'quotes', 'lines', 'short', 'unicode', 'account', 'hidden', 'become'] as const).map(
      (name) => `c_${name}: ${JSON.stringify(VALUES[name])}`,
    ),
    `c_number: ${VALUES.number}`,
    `c_map: { a: { b: [${JSON.stringify(VALUES.nested)}] } }`,
    `c_list: [${JSON.stringify(VALUES.listed)}, public]`,
    'c_flag: true',
  ].join('\n');

/** Encrypted too: the same node twice, by key as root, and by password as a user who becomes root by it. */
function inventoryYaml(): string {
  const [node] = lab.nodes;
  const password = JSON.stringify(VALUES.become);
  return `
connection: { address: ${node?.address}, known_hosts: ${lab.dir}/known_hosts }
hosts:
  ${NODE}: { connection: { user: root, identity_file: ${lab.dir}/id_ed25519 } }
  user: { connection: { user: drill, password: ${password} }, become: { method: sudo, password: ${password} } }
`;
}

const BOOK = `
name: Canaries
inputs: { token: { type: secret } }
vars_files: [secrets.yml]
vars: { where: /root/allowed, derived: 'x{{c_plain}}y' }
plays:
  - hosts: ${NODE}
    gather: true
    environment: { FROM_PLAY: '{{c_plain}}' }
    tasks:
      - { name: folder, file: { path: '{{where}}', state: directory, mode: '0700' } }
      - { name: template, template: { src: canary.conf.hbs, dest: '{{where}}/template', mode: '0600', validate: test -s %s } }
      - { name: template again, template: { src: canary.conf.hbs, dest: '{{where}}/template', mode: '0600', newline: crlf, backup: true } }
      - { name: copy, copy: { content: '{{c_quotes}}{{c_lines}}{{c_short}}{{c_unicode}}{{c_number}}', dest: '{{where}}/copy', mode: '0600', validate: test -s %s } }
      - { name: line, line_in_file: { path: '{{where}}/line', line: 'password={{c_quotes}}', create: true, mode: '0600' } }
      - { name: line again, line_in_file: { path: '{{where}}/line', line: 'password={{c_plain}}', regexp: '^password=' } }
      - { name: block, block_in_file: { path: '{{where}}/block', block: '{{c_lines}}{{c_unicode}}', create: true, mode: '0600' } }
      - { name: 'named {{c_plain}}', command: { argv: [sh, -c, 'test -n "$SECRET"; sleep 0.2'] }, environment: { SECRET: '{{c_quotes}}{{c_lines}}' } }
      - { name: input of a command, command: { argv: [sh, -c, 'cat; cat /dev/null; sleep 0.2'], stdin: '{{c_quotes}} {{c_unicode}} {{c_number}}' }, register: said }
      - { name: shell, shell: 'x={{sh c_plain}}; printf "%s " {{sh c_quotes}} "$x" {{sh c_lines}} {{sh c_short}} {{sh c_number}}; sleep 0.2; exit 3', register: failed, ignore_errors: true }
      - { name: fails with it, shell: 'printf "%s\\n" {{sh c_unicode}} {{sh c_account}} >&2; exit 4', retries: 1, delay: 1ms, until: result.code == 0, ignore_errors: true }
      - { name: not there, shell: 'cd {{sh c_plain}}', ignore_errors: true }
      - { name: encoded, shell: 'printf %s {{sh c_plain}} | od -An -tx1 | tr -d " \\n"; printf %s {{sh c_unicode}} | base64; printf %s {{b64 c_plain}}; echo; printf "user:%s" {{sh c_plain}} | base64 -w0', register: encoded }
      - { name: says them again, debug: '{{json said}} {{json failed}} {{json encoded}} {{c_map.a.b}} {{derived}}' }
      - { name: shows a variable, debug: { msg: '{{c_map}}' } }
      - { name: asserts, assert: { that: 'c_plain == "other"', fail_msg: 'it is {{c_plain}} and {{c_short}}' }, ignore_errors: true }
      - { name: loops, shell: 'printf %s {{sh item}}', loop: '{{c_list}}', label: 'item {{item}}', register: looped }
      - { name: sets, set: { kept: '{{c_map}}', other: '{{looped}}' } }
      - { name: is not logged, shell: 'printf %s {{sh c_hidden}}; printf %s {{sh c_hidden}} >&2; exit 1', no_log: true, ignore_errors: true, register: unseen }
      - { name: uses what was not logged, shell: 'printf %s {{sh unseen.stdout}}', register: seen }
      - { name: runs a script, script: { src: script.sh }, environment: { SECRET: '{{c_quotes}}' } }
      - name: answers
        dialogue:
          cmd: 'printf "Password: "; stty -echo 2>/dev/null; read -r x; printf "Again: "; read -r y; sleep 0.2; [ "$x" = "$y" ]'
          responses: [{ prompt: 'Password:', answer: '{{c_plain}}', secret: true }, { prompt: 'Again:', answer: '{{c_plain}}', secret: true }]
      - { name: sets a password, shell: { cmd: 'id drill >/dev/null 2>&1 || useradd -m -s /bin/sh drill; chpasswd', stdin: 'drill:{{c_become}}' } }
      - { name: may become root, command: usermod -aG sudo drill }
      - { name: waits, wait_for: { path: '{{where}}/line', search_regex: 'password={{c_plain}}', timeout: 10s } }
      - { name: waits in vain, wait_for: { sh: 'test {{sh c_plain}} = x', timeout: 1ms, interval: 1ms, msg: 'no {{c_plain}}' }, ignore_errors: true }
      - { name: an account, mysql.account: { user: canary, host: localhost, password: '{{c_account}}', grants: [{ on: '*.*', privileges: [SELECT] }] } }
      - { name: logs in, mysql.query: { query: 'SELECT ? AS a, USER() AS u', params: ['{{c_quotes}}'], login: { user: canary, password: '{{c_account}}', host: 127.0.0.1 } }, register: row }
      - { name: writes nothing, mysql.execute: { statement: 'DO LENGTH(?)', params: ['{{c_lines}}'] } }
      - { name: SQL that is wrong, mysql.query: 'SELEKT {{sql c_quotes}}', ignore_errors: true }
      - { name: executes what is wrong, mysql.execute: 'SELEKT {{sql c_plain}}', ignore_errors: true }
      - { name: another password, mysql.account: { user: canary, host: localhost, password: '{{c_plain}}' } }
      - { name: as another, shell: 'printf %s {{sh c_plain}}; sleep 0.2', become: { user: drill, method: su } }
      - { name: hold, shell: 'until [ -e {{where}}/go ]; do sleep 0.1; done; printf %s {{sh inputs.token}}' }
      - { name: remembers, shell: 'printf "%s %s %s" {{sh said.stdout}} {{sh unseen.stdout}} {{sh kept.a.b.[0]}}', register: all }
      - { name: keeps, copy: { content: '{{json all}}{{json other}}{{json row}}{{inputs.token}}', dest: '{{where}}/end', mode: '0600' } }
      - { name: waits for the end, shell: 'exit 0' }
    handlers:
      - { name: unused, debug: '{{c_plain}}' }
  - hosts: user
    tasks:
      - { name: as who became root, command: { argv: [sh, -c, 'cat; sleep 0.2'], stdin: '{{c_plain}}' } }
      - { name: a file of root, copy: { content: '{{c_quotes}}', dest: '{{where}}/of-root', mode: '0600' } }
      - { name: delegated, shell: 'printf %s {{sh c_unicode}}; sleep 0.2', delegate_to: ${NODE} }
`;

let lab: Lab;
let home: string;
const watches: Watch[] = [];

beforeAll(async () => {
  await ensurePackages(['strace']);
  lab = await freshLab({ name: 'canary', database: 'mariadb', nodes: [NODE] });
  home = mkdtempSync(join(tmpdir(), 'drillbook-canary-'));
});
afterAll(async () => {
  for (const watch of watches) await watch.stop();
  await lab?.down();
  if (home) rmSync(home, { recursive: true, force: true });
}, 60_000);

const inHome = (name: string): string => join(home, name);

async function writeProject(book: string): Promise<void> {
  mkdirSync(inHome('templates'), { recursive: true });
  const identity = await newIdentity();
  writeFileSync(inHome('id'), `${identity}\n`, { mode: 0o600 });
  writeFileSync(inHome('book.yml'), book);
  writeFileSync(inHome('script.sh'), '#!/bin/sh\ntest -n "$SECRET" && sleep 0.2\n');
  writeFileSync(
    inHome('templates/canary.conf.hbs'),
    'a={{c_plain}}\nb={{c_quotes}}\n{{c_lines}}{{c_number}}\n',
  );
  const to = { recipients: [await recipientOf(identity)] };
  const sealed = (text: string) => sealAge(Buffer.from(text), to);
  writeFileSync(inHome('secrets.yml'), await sealed(secretsYaml()));
  writeFileSync(inHome('given.yml'), await sealed(`token: ${VALUES.input}\n`));
  writeFileSync(inHome('inventory.yml'), await sealed(inventoryYaml()));
}

/** The node's first process of a name, as this machine numbers it. */
function pidOnNode(name: string): number {
  for (const pid of readdirSync('/proc').filter((one) => /^\d/.test(one))) {
    try {
      const isHere = readFileSync(`/proc/${pid}/root/etc/hostname`, 'utf8').trim() === NODE;
      if (isHere && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name) return Number(pid);
    } catch {
      // It has ended.
    }
  }
  throw new Error(`no ${name} on ${NODE}`);
}

/** Everything on the node but what is meant to hold them: its disk, and what it has in memory. */
function onNode(since: number, isDone = true): Found[] {
  const disk = join(nodeDir('canary', NODE), 'disk');
  const root = `/proc/${pidOnNode('systemd')}/root`;
  // What a job has said is there for a resume, for its own user's eyes, until the run ends.
  const jobs = ['/var/lib/drillbook/jobs', '/var/tmp/drillbook-1000/jobs'];
  const kept = ['/root/allowed', ...(isDone ? [] : jobs)];
  const isSpared = (path: string): boolean => kept.some((one) => path.endsWith(one));
  return [
    ...findUnder(disk, CANARIES, 0, isSpared),
    ...['tmp', 'run', 'dev/shm'].flatMap((folder) => findUnder(join(root, folder), CANARIES, since)),
  ];
}

test('no canary is anywhere but where it is meant to be: run, killed, resumed, told in every way', async () => {
  const since = Date.now() - 1000;
  const env = { HOME: home };
  await writeProject(BOOK);
  const state = ['--state', inHome('state')];
  const on = [inHome('book.yml'), '-i', inHome('inventory.yml'), '-e', `@${inHome('given.yml')}`];
  const keys = ['--identity', inHome('id')];
  const found: Found[] = [];
  const hear = (where: string, text: string): void =>
    void found.push(...findIn(Buffer.from(text), where, CANARIES));
  const heard = async (where: string, args: readonly string[], wanted: readonly number[] = [0]) => {
    const said = await drillbook([...args, ...state], { env });
    hear(where, said.stdout + said.stderr);
    expect([where, wanted.includes(said.code ?? -1), said.stderr.slice(-2000)]).toEqual([
      where,
      true,
      expect.anything(),
    ]);
    return said;
  };
  watches.push(watchProcesses(CANARIES), await traceExecs(pidOnNode('sshd'), CANARIES));

  await heard('plan', ['plan', ...on, ...keys]);
  await heard('lint', ['lint', inHome('book.yml'), '-i', inHome('inventory.yml'), ...keys]);
  await heard('check', ['run', ...on, ...keys, '--check', '--diff', '-v', '--output', 'plain'], [0, 1]);
  const run = start(['run', ...on, ...keys, '--diff', '-v', '--output', 'jsonl', ...state], {
    env,
    onLine: (line) => {
      if (line.includes('"step_started"') && line.includes('"name":"hold"')) run.kill('SIGKILL');
    },
  });
  const first = await run.ended;
  hear('run', first.stdout + first.stderr);
  expect([first.signal, first.stderr]).toEqual(['SIGKILL', '']);
  found.push(...findUnder(inHome('state'), CANARIES), ...onNode(since, false));
  const jobs = await lab.ssh(NODE, 'find /var/lib/drillbook/jobs /var/tmp/drillbook-1000 -type d -perm /077');
  expect(jobs.stdout).toBe('');
  await lab.ssh(NODE, 'touch /root/allowed/go');
  // No key is given, and none is asked for.
  const resumed = await onTerminal(['resume', ...state, '--diff', '-v']);
  hear('resume', resumed.screen);
  expect([resumed.code, resumed.screen.slice(-1500)]).toEqual([0, expect.anything()]);
  const end = (await lab.ssh(NODE, 'cat /root/allowed/end')).stdout;
  // It has really had them.
  for (const name of ['input', 'hidden', 'nested', 'listed', 'unicode'] as const)
    expect(end).toContain(VALUES[name]);

  for (const output of ['plain', 'jsonl'])
    await heard(`show ${output}`, ['show', '--diff', '-v', '--output', output]);
  await heard('files', ['show', '--files']);
  await heard('vars file', ['show', '--file', 'secrets.yml']);
  await heard('runs', ['runs']);
  await heard('verify', ['verify']);
  await heard('explain', [
    'explain-var',
    'c_plain',
    '-i',
    inHome('inventory.yml'),
    '--host',
    NODE,
    inHome('book.yml'),
    ...keys,
  ]);
  const [latest = ''] = readdirSync(inHome('state/runs')).sort().reverse();
  for (const format of ['html', 'json', 'junit', 'csv', 'xlsx'])
    await heard(`report ${format}`, [
      'report',
      latest,
      '--format',
      format,
      '--out',
      inHome(`report.${format}`),
    ]);
  for (const watch of watches) {
    await watch.stop();
    found.push(...watch.found);
    expect(watch.count).toBeGreaterThan(50);
  }
  const isSpared = (path: string): boolean => path.startsWith('/tmp/vitest') || path.endsWith('.node');
  found.push(
    ...findUnder(home, CANARIES),
    ...findUnder(dirname(home), CANARIES, since, isSpared),
    ...onNode(since),
  );
  expect({ seed, found }).toEqual({ seed, found: [] });
}, 300_000);

test('who searches does find: a playbook that leaks is caught at each of its leaks', async () => {
  const leaky = `
name: Leaks
vars_files: [secrets.yml]
plays:
  - hosts: ${NODE}
    tasks:
      - { name: on a command line, command: { argv: [sh, -c, 'sleep 1', x, '{{c_plain}}'] } }
      - { name: in a file, shell: { cmd: 'cat >/var/tmp/leak; cat /var/tmp/leak | base64 >/run/leak', stdin: '{{c_quotes}}' } }
      - { name: in the log, shell: { cmd: 'read -r x; logger "$x"', stdin: '{{c_unicode}}' } }
`;
  await writeProject(leaky);
  const since = Date.now() - 1000;
  const watch = [watchProcesses(CANARIES), await traceExecs(pidOnNode('sshd'), CANARIES)];
  watches.push(...watch);
  const args = ['run', inHome('book.yml'), '-i', inHome('inventory.yml'), '--identity', inHome('id')];
  const said = await drillbook([...args, '--state', inHome('leaky')], { env: { HOME: home } });
  expect(said.code).toBe(0);
  execFileSync('sync');
  const found = onNode(since);
  for (const one of watch) {
    await one.stop();
    expect(one.found.map(({ canary }) => canary)).toContain('plain');
  }
  const names = (part: string): string[] =>
    found.filter(({ where }) => where.includes(part)).map(({ canary }) => canary);
  expect(names('/var/tmp/leak')).toContain('quotes');
  expect(names('/run/leak')).toContain('quotes');
  expect(names('journal')).toContain('unicode');
}, 120_000);
