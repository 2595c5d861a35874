import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { project } from '../run/_engine.ts';
import type { Project } from '../run/_engine.ts';
import { drillbook } from './_drillbook.ts';

/** Puts the state folder of a project on a file system of its own. */
function onSmallDisk(book: Project, size: string): void {
  mkdirSync(book.state, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', book.state]);
  onTestFinished(() => void execFileSync('umount', ['-l', book.state]));
}

const lines = (book: Project, file: string): string[] =>
  readFileSync(join(book.dir, file), 'utf8').trim().split('\n');

const plain = (text: string): string => text.replace(/\s+/g, ' ');

/** Host a says so much that the disk is full; b is at one thing until a is at nothing any more. */
const FILLING = `
name: Filling
plays:
  - hosts: all
    tasks:
      - name: fill
        shell: |
          echo begun >> {{dir}}/marks
          if [ {{host.name}} = a ]; then
            head -c 20000 /dev/zero | tr '\\000' x
          else
            until [ "$before" = "$now" ] && [ "$now" -gt 3 ]; do
              before=$now; sleep 0.7; now=$(wc -l < {{dir}}/../a/marks)
            done
          fi
          echo ended >> {{dir}}/marks
        loop: '{{turns}}'
      - { name: after, shell: 'touch {{dir}}/after' }
`;

test('on a full disk what is under way ends, nothing more begins, and the run goes on when there is room', async () => {
  const book = project(FILLING, { hosts: ['a', 'b'] });
  const turns = JSON.stringify(Array.from({ length: 60 }, (_, i) => i));
  const inventory = readFileSync(book.inventory, 'utf8');
  book.write(
    'inventory.yml',
    inventory.replace("/a'", `/a', turns: ${turns}`).replace("/b'", `/b', turns: [0]`),
  );
  onSmallDisk(book, '1m');
  const said = await drillbook(['run', book.playbook, '-i', book.inventory, '--state', book.state]);
  expect(said.code).toBe(1);
  const [run = ''] = readdirSync(join(book.state, 'runs'));
  expect(plain(said.stderr)).toContain(
    `the journal of run ${run} cannot be written: database or disk is full`,
  );
  expect(plain(said.stderr)).toContain(`nothing was begun since; \`drillbook resume ${run}\` goes on`);
  expect(said.stderr).not.toMatch(/^\s+at /m);
  expect(lines(book, 'b/marks')).toEqual(['begun', 'ended']);
  expect(said.stdout).toMatch(/ b .*item 1: changed/);
  const filled = lines(book, 'a/marks').length / 2;
  expect(filled).toBeLessThan(60);
  expect(Number.isInteger(filled)).toBe(true);
  expect([existsSync(join(book.dir, 'a/after')), existsSync(join(book.dir, 'b/after'))]).toEqual([
    false,
    false,
  ]);
  const state = ['--state', book.state];
  expect((await drillbook(['verify', run, ...state])).code).toBe(0);
  expect((await drillbook(['show', run, ...state])).stdout).toContain('item 2: changed');
  const full = await drillbook(['resume', run, ...state]);
  expect([full.code, plain(full.stderr)]).toEqual([1, expect.stringContaining('cannot be written')]);
  execFileSync('mount', ['-o', 'remount,size=20m', book.state]);
  const resumed = await drillbook(['resume', run, ...state]);
  expect([resumed.code, resumed.stderr]).toEqual([0, '']);
  // What had ended and could not be told is found on the node: nothing ran twice.
  expect(lines(book, 'a/marks').length).toBe(120);
  expect(lines(book, 'b/marks')).toEqual(['begun', 'ended']);
});

test('in a state folder that cannot be written nothing is begun or gone on with, and all can be looked at', async () => {
  const book = project(`tasks: [{ name: one, shell: 'echo x >> {{dir}}/marks; test -e {{dir}}/mended' }]`);
  onSmallDisk(book, '5m');
  const state = ['--state', book.state];
  const args = ['run', book.playbook, '-i', book.inventory, ...state];
  expect((await drillbook(args)).code).toBe(1);
  const [run = ''] = readdirSync(join(book.state, 'runs'));
  execFileSync('mount', ['-o', 'remount,ro', book.state]);
  for (const command of [args, ['resume', ...state]]) {
    const said = await drillbook(command);
    expect([said.code, said.stdout]).toEqual([1, '']);
    expect(plain(said.stderr)).toMatch(/the journal of run \S+ cannot be written: .*nothing was begun/);
    expect(said.stderr).not.toMatch(/^\s+at /m);
  }
  expect(lines(book, 'a/marks')).toEqual(['x']);
  expect((await drillbook(['runs', ...state])).stdout).toContain(run);
  expect((await drillbook(['show', ...state])).stdout).toContain('one');
  expect((await drillbook(['verify', ...state])).code).toBe(0);
});
