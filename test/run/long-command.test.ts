import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startSshd } from '../transports/_sshd.ts';
import type { Sshd } from '../transports/_sshd.ts';
import { project } from './_engine.ts';
import type { Project } from './_engine.ts';
import { isFull } from '../_full.ts';
import { begin, bySsh, endSessions, forget, resume, sideBySide, until } from './_matrix.ts';
import { startLine } from './_proxy.ts';

/** Seconds that a command takes, and that nobody looks after it. */
const [SECONDS, ALONE] = isFull ? [60, 20] : [3, 1];
const LONG = isFull ? 900_000 : 300_000;

let sshd: Sshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

const lines = `i=0; while [ $i -lt ${SECONDS * 10} ]; do echo "line $i"; i=$((i + 1)); sleep 0.1; done`;
const flood = (of: string): string =>
  `head -c 3000000 /dev/urandom ${of}; sleep ${SECONDS}; head -c 3000000 /dev/urandom ${of}`;

/** Name → what it says, and whom it runs as. */
const COMMANDS: Readonly<Record<string, readonly [string, string?]>> = {
  'lines, now and then': [lines],
  'megabytes of text': [flood('| base64')],
  'megabytes of anything': [flood('')],
  'lines, as another user': [lines, 'nobody'],
};

/** A playbook of one command; all it says is also put into a file where it runs. */
function bookOf(name: string, port: number): Project {
  const [says = '', user] = COMMANDS[name] ?? [];
  const become = user === undefined ? '' : `become: { user: ${user} }`;
  const book = project(
    `
tasks:
  - name: command
    shell: 'echo x >> {{dir}}/ran; { ${says}; } | tee {{dir}}/said; echo x > {{dir}}/over; exit 5'
    failed_when: result.code != 5
    register: command
    ${become}
  - { name: written down, copy: { dest: '{{dir}}/registered', content: '{{json command}}' } }
`,
  );
  const dir = join(book.dir, 'open');
  chmodSync(book.dir, 0o755);
  mkdirSync(dir);
  chmodSync(dir, 0o777);
  book.write(
    'inventory.yml',
    `connection: ${bySsh(sshd, port)}\nhosts: { a: { vars: { dir: '${dir}' } } }\n`,
  );
  return book;
}

const at = (book: Project, name: string): string => join(book.dir, 'open', name);
const isUnderWay = (book: Project): boolean =>
  existsSync(at(book, 'said')) && readFileSync(at(book, 'said')).length > 0;
const isOver = (book: Project): boolean => existsSync(at(book, 'over'));

function expectWhole(book: Project, code: number | null): void {
  const { stdout, code: its } = JSON.parse(readFileSync(at(book, 'registered'), 'utf8')) as {
    stdout: string;
    code: number;
  };
  const said = readFileSync(at(book, 'said'), 'utf8').replace(/\n+$/, '');
  expect([code, its, readFileSync(at(book, 'ran'), 'utf8')]).toEqual([0, 5, 'x\n']);
  expect([stdout.length, stdout === said]).toEqual([said.length, true]);
  forget(book);
}

test.each(Object.keys(COMMANDS))(
  '%s: the engine is killed and the run resumed, while it runs and when it is over',
  async (name) => {
    await sideBySide(['while it runs', 'when it is over'], async (when) => {
      const book = bookOf(name, sshd.port);
      const death = new AbortController();
      const dying = begin(book, { death: death.signal });
      await until(() => isUnderWay(book));
      death.abort();
      expect((await dying).signal).toBe('SIGKILL');
      if (when === 'while it runs') await pause(ALONE * 1000);
      else await until(() => isOver(book));
      expect(isOver(book)).toBe(when !== 'while it runs');
      const { code } = await resume(book);
      expectWhole(book, code);
    });
  },
  LONG,
);

test.each(Object.keys(COMMANDS))(
  '%s: the connection is cut, or its server’s process killed, and the run goes on by itself',
  async (name) => {
    const line = await startLine(sshd.port);
    for (const cut of [() => line.cut(), () => endSessions(sshd)]) {
      const book = bookOf(name, line.port);
      const going = book.go({});
      await until(() => isUnderWay(book));
      cut();
      const { code, events } = await going;
      expect(events.map(({ event }) => event)).toContain('host_back');
      expectWhole(book, code);
    }
    await line.close();
  },
  LONG,
);
