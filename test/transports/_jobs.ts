import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  Answer,
  Become,
  JobEnd,
  JobId,
  JobOptions,
  ShResult,
  Transport,
} from '../../engine/core/host.ts';
import { READ_CLAIM } from '../../engine/transports/_job-claim.ts';
import { listJobs, removeJobs } from '../../engine/transports/jobs.ts';
import { commandLines, eventually, running, uniqueSleep } from './_suite.ts';

export interface JobSubject {
  /** Another connection to the same host. */
  open(): Transport;
  readonly become?: Become | undefined;
  stop(): Promise<void>;
}

/** Where jobs may lie on this machine. */
export const jobRoots = (): string[] => [
  '/var/lib/drillbook/jobs',
  ...readdirSync('/var/tmp')
    .filter((name) => name.startsWith('drillbook-'))
    .map((name) => join('/var/tmp', name, 'jobs')),
];

/** The files of a job, without the ending. */
export function filesOf({ run, host, key }: JobId): string {
  const folder = jobRoots()
    .map((root) => join(root, run, host))
    .find((path) => existsSync(path));
  return join(folder ?? '/nowhere', key);
}

/** What a claim says: [state, size, size, nonce, shell, start, boot, subshell, start]. */
export const claimOf = (id: JobId): string[] =>
  readFileSync(`${filesOf(id)}.pid`, 'utf8')
    .trim()
    .split(/\s+/);

export const ended = (code: number, stdout: string, stderr = ''): JobEnd<ShResult> => ({
  kind: 'ended',
  result: { code, stdout, stderr },
});

/** A line for each time it runs. */
export const COUNT = 'echo ran >>"$1";';
const timesRun = (file: string): number => readFileSync(file, 'utf8').split('\n').length - 1;

/** What a job must do on every transport, for every user and shell. */
export function jobSuite(name: string, make: () => Promise<JobSubject>): void {
  describe(name, { timeout: 60_000 }, () => {
    const run = `test-${randomUUID()}`;
    let subject: JobSubject;
    let become: Become | undefined;
    let t: Transport;
    let other: Transport;
    let directory: string;
    let number = 0;

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'drillbook-jobs-'));
      chmodSync(directory, 0o777);
      subject = await make();
      become = subject.become;
      t = subject.open();
      other = subject.open();
      await Promise.all([t.open(), other.open()]);
    });
    afterAll(async () => {
      for (const each of [run, `${run}-list`, `${run}-again`])
        await removeJobs(t, each, { become, isStop: true });
      await Promise.all([t.close(), other.close()]);
      await subject.stop();
      rmSync(directory, { recursive: true, force: true });
    });
    const newId = (): JobId => ({ run, host: 'node1', key: `1.2.${++number}` });
    const at = (file: string): string => join(directory, `${number}-${file}`);
    const start = (
      id: JobId,
      script: string,
      options: Omit<JobOptions, 'mode'> = {},
      via = t,
    ): Promise<JobEnd<ShResult>> => via.job(id, script, { become, ...options, mode: 'start' });
    const attach = (
      id: JobId,
      options: Omit<JobOptions, 'mode'> = {},
      via = other,
    ): Promise<JobEnd<ShResult>> => via.job(id, 'echo never', { become, ...options, mode: 'attach' });
    const hasBegun = (id: JobId): boolean => {
      const file = `${filesOf(id)}.pid`;
      return existsSync(file) && readFileSync(file, 'utf8').endsWith('\n');
    };
    /** Kills the processes of a claim at once. */
    const killAll = (id: JobId, fields: readonly number[]): void => {
      for (const field of fields) process.kill(Number(claimOf(id)[field]), 'SIGKILL');
    };

    it('an end that is read while it is written is none yet, or the same', async () => {
      const id = newId();
      const claim = (): string => readFileSync(`${filesOf(id)}.pid`, 'utf8');
      const going = start(id, `echo out; while [ ! -e "$1" ]; do sleep 0.02; done; exit 7`, {
        args: [at('go')],
      });
      await eventually(() => hasBegun(id));
      const before = claim();
      writeFileSync(at('go'), '');
      await going;
      const after = claim();
      expect(after.length).toBe(before.length);
      const torn = at('torn');
      const look = `job=$1\n${READ_CLAIM}claim; echo "$code $boot $sub $begun"`;
      const told = new Set<string>();
      for (let n = 0; n <= after.length; n++) {
        writeFileSync(`${torn}.pid`, before.slice(0, n) + after.slice(n));
        told.add((await t.sh(look, { args: [torn] })).stdout.trim());
      }
      const [boot, sub, begun] = [6, 7, 8].map((field) => claimOf(id)[field]);
      expect([...told]).toEqual(['7', 'r', 'ru', 'run'].map((code) => [code, boot, sub, begun].join(' ')));
    });

    it('runs once, whoever starts it how often, and tells everyone the same', async () => {
      const id = newId();
      const script = `${COUNT} echo out "$V"; echo err >&2; cat; exit 7`;
      const options = { args: [at('ran')], env: { V: "it's $(id)" }, stdin: 'in\n' };
      const wanted = ended(7, "out it's $(id)\nin\n", 'err\n');
      expect(await start(id, script, options)).toEqual(wanted);
      expect(await start(id, script, options)).toEqual(wanted);
      expect(await start(id, script, options, other)).toEqual(wanted);
      expect(await attach(id)).toEqual(wanted);
      expect(timesRun(at('ran'))).toBe(1);
    });

    it('runs once in a race of 200', async () => {
      const id = newId();
      const third = subject.open();
      // The guards are asked between the look and the claim: there all that have a shell wait for each other.
      const wait = 'echo here >>"$1"; while [ ! -e "$2" ]; do sleep 0.02; done';
      const [waiting, gate] = [at('waiting'), at('gate')];
      const guards = [{ code: 'guard.lock' as const, script: wait, args: [waiting, gate] }];
      const starts = Array.from({ length: 200 }, (_, i) =>
        start(id, `${COUNT} sleep 0.2; echo done`, { args: [at('ran')], guards }, [t, other, third][i % 3]),
      );
      await eventually(() => existsSync(waiting) && timesRun(waiting) === 18);
      writeFileSync(gate, '');
      const ends = await Promise.all(starts);
      await third.close();
      expect(new Set(ends.map((end) => JSON.stringify(end)))).toEqual(
        new Set([JSON.stringify(ended(0, 'done\n'))]),
      );
      expect(timesRun(at('ran'))).toBe(1);
    });

    it('is absent where it was never begun', async () => {
      expect(await attach(newId())).toEqual({ kind: 'absent' });
      expect(await attach({ ...newId(), run: `${run}-none` })).toEqual({ kind: 'absent' });
    });

    it.each([
      ['nothing', 'true'],
      ['every byte', `printf '${Array.from({ length: 256 }, (_, i) => `\\${i.toString(8)}`).join('')}'`],
      [
        'every byte but NUL',
        `printf '${Array.from({ length: 255 }, (_, i) => `\\${(i + 1).toString(8)}`).join('')}' >&2`,
      ],
      ['no newline at the end', 'printf "a\\n\\nb"; printf " c" >&2; exit 3'],
      ['blanks and backslashes', 'printf "  a \\\\\\\\n\\n\\n"'],
      [
        'megabytes on both',
        'head -c 3000000 /dev/zero | tr "\\0" o & head -c 3000000 /dev/zero | tr "\\0" e >&2; wait',
      ],
    ])('tells its output byte for byte: %s', async (_, script) => {
      const id = newId();
      const plain = await t.sh(script, { become });
      expect(await start(id, script)).toEqual({ kind: 'ended', result: plain });
      expect(await attach(id)).toEqual({ kind: 'ended', result: plain });
    });

    it('takes an input of megabytes, which is off the disk as soon as it is open', async () => {
      const id = newId();
      const stdin = randomBytes(3_000_000);
      const look = 'for f in "$1".in.*; do [ -e "$f" ] && echo "$f"; done; ';
      const first = await start(newId(), 'true');
      expect(first.kind).toBe('ended');
      const files = join(filesOf({ ...id, key: '' }), id.key);
      const end = await start(id, `${look} cksum`, { stdin, args: [files] });
      expect(end).toEqual(ended(0, execFileSync('cksum', { input: stdin }).toString()));
      // Whoever comes too late leaves none either.
      expect(await start(id, 'true', { stdin })).toEqual(end);
      expect(readdirSync(join(files, '..')).filter((file) => file.includes('.in.'))).toEqual([]);
    });

    it('is waited for while it runs, and shown as it goes', async () => {
      const id = newId();
      const script = `echo first; while [ ! -e "$1" ]; do sleep 0.02; done; echo last; echo err >&2; exit 3`;
      const mine: string[] = [];
      const theirs: string[] = [];
      const started = start(id, script, { args: [at('gate')], onOutput: (text) => mine.push(text) });
      await eventually(() => hasBegun(id));
      const attached = attach(id, { onOutput: (text) => theirs.push(text) });
      await eventually(() => mine.join('') === 'first\n' && theirs.join('') === 'first\n');
      writeFileSync(at('gate'), '');
      expect(await Promise.all([started, attached])).toEqual([
        ended(3, 'first\nlast\n', 'err\n'),
        ended(3, 'first\nlast\n', 'err\n'),
      ]);
      expect([mine.join(''), theirs.join('')]).toEqual(['first\nlast\n', 'first\nlast\n']);
    });

    it('does not wait for a process left in the background', async () => {
      const duration = uniqueSleep();
      const id = newId();
      const end = await start(id, `sleep ${duration} & echo $!`);
      expect(await attach(id)).toEqual(end);
      await t.sh('kill "$1"', { become, args: [end.kind === 'ended' ? end.result.stdout.trim() : ''] });
    });

    it('is lost when it was killed, with what it had said', async () => {
      const id = newId();
      const started = start(id, 'echo on it; echo and err >&2; while :; do sleep 0.02; done').catch(
        () => undefined,
      );
      await eventually(() => hasBegun(id) && readFileSync(`${filesOf(id)}.err`, 'utf8') !== '');
      killAll(id, [4, 7]);
      const lost = { kind: 'lost', reason: 'killed', output: 'on it\nand err\n' };
      expect(await attach(id)).toEqual(lost);
      expect(await start(id, 'echo never', {}, other)).toEqual(lost);
      await started;
    });

    it('is waited for even when the shell that should tell its end is gone', async () => {
      const id = newId();
      const gate = at('gate');
      const script = 'while [ ! -e "$1" ]; do sleep 0.02; done; echo done';
      const started = start(id, script, { args: [gate] }).catch(() => undefined);
      await eventually(() => hasBegun(id));
      killAll(id, [4]);
      let isOver = false;
      const attached = attach(id).finally(() => (isOver = true));
      // Another exchange, begun later, is over long before.
      expect(await start(newId(), 'sleep 1', {}, other)).toEqual(ended(0, ''));
      expect(isOver).toBe(false);
      writeFileSync(gate, '');
      expect(await attached).toEqual({ kind: 'lost', reason: 'killed', output: 'done\n' });
      await started;
    });

    it('is lost when the host was rebooted, or another process has its number', async () => {
      const id = newId();
      const started = start(id, 'echo on; while [ ! -e "$1" ]; do sleep 0.02; done', { args: [at('gate')] });
      await eventually(() => hasBegun(id));
      const file = `${filesOf(id)}.pid`;
      const claim = readFileSync(file, 'utf8');
      const change = (field: number, value: string): void =>
        writeFileSync(file, `${claimOf(id).with(field, value).join(' ')}\n`);
      change(6, randomUUID());
      expect(await attach(id)).toEqual({ kind: 'lost', reason: 'rebooted', output: 'on\n' });
      writeFileSync(file, claim);
      change(5, '1');
      change(8, '1');
      expect(await attach(id)).toEqual({ kind: 'lost', reason: 'killed', output: 'on\n' });
      writeFileSync(file, claim);
      writeFileSync(at('gate'), '');
      expect(await started).toEqual(ended(0, 'on\n'));
    });

    it('is lost when a power failure has taken some of its output, and ended where all is there', async () => {
      const id = newId();
      await start(id, 'echo first; echo last; exit 3');
      const file = `${filesOf(id)}.pid`;
      writeFileSync(file, `${claimOf(id).with(6, randomUUID()).join(' ')}\n`);
      expect(await attach(id)).toEqual(ended(3, 'first\nlast\n'));
      writeFileSync(`${filesOf(id)}.out`, 'first\n');
      expect(await attach(id)).toEqual({ kind: 'lost', reason: 'rebooted', output: 'first\n' });
    });

    it('is lost when whoever claimed it died before saying who', async () => {
      const id = newId();
      await start(id, 'true');
      writeFileSync(`${filesOf(id)}.pid`, '');
      expect(await start(id, 'echo never')).toEqual({ kind: 'lost', reason: 'killed', output: '' });
    });

    it('is not begun when a guard refuses it, and not asked once it has begun', async () => {
      const id = newId();
      const guard = { code: 'guard.role' as const, script: 'refused="no: $1"', args: ["it's"] };
      const refused = start(id, `${COUNT}`, { args: [at('ran')], guards: [guard] });
      await expect(refused).rejects.toMatchObject({ code: 'guard.role', message: "no: it's" });
      expect(await attach(id)).toEqual({ kind: 'absent' });
      expect(await start(id, `${COUNT} echo done`, { args: [at('ran')] })).toEqual(ended(0, 'done\n'));
      const asked = { ...guard, script: 'echo asked >"$1"; refused=no', args: [at('asked')] };
      expect(await start(id, 'echo never', { guards: [asked] })).toEqual(ended(0, 'done\n'));
      expect(existsSync(at('asked'))).toBe(false);
      expect(await start(newId(), 'exit 77', { guards: [{ ...guard, script: ':' }] })).toEqual(ended(77, ''));
    });

    it.each([
      ['where it was begun', (): Transport => t],
      ['from another connection', (): Transport => other],
    ])('is killed with all it has started when its time is up, and has ended: %s', async (_, via) => {
      const id = newId();
      const [a, b, c] = [uniqueSleep(), uniqueSleep(), uniqueSleep()];
      const stop = new AbortController();
      const isOwn = via() === t;
      const script = `echo on; sleep ${a} & (sleep ${b} &); sleep ${c}; sleep ${c}`;
      const started = start(id, script, isOwn ? { signal: stop.signal } : {}).catch(
        (error: unknown) => error,
      );
      await eventually(() => [a, b, c].every((duration) => running(duration).length === 1));
      const stopped = isOwn ? started : attach(id, { signal: stop.signal }).catch((error: unknown) => error);
      stop.abort();
      expect(await stopped).toMatchObject({ code: 'step.timeout' });
      expect([a, b, c].flatMap(running)).toEqual([]);
      const end = await attach(id);
      expect(end).toMatchObject({ kind: 'ended', result: { stdout: 'on\n' } });
      expect(end.kind === 'ended' && end.result.code).toBeGreaterThan(128);
      await started;
      expect(await start(newId(), 'echo usable')).toEqual(ended(0, 'usable\n'));
    });

    it('leaves what an earlier exchange has started when its time is up', async () => {
      const [before, own] = [uniqueSleep(), uniqueSleep()];
      const { stdout } = await t.sh(`sleep ${before} >/dev/null 2>&1 & echo $!`, { become });
      await eventually(() => running(before).length === 1);
      // The clock of processes ticks in hundredths of a second.
      await start(newId(), 'sleep 0.1');
      const stop = new AbortController();
      const stopped = start(newId(), `sleep ${own}; true`, { signal: stop.signal }).catch(
        (error: unknown) => error,
      );
      await eventually(() => running(own).length === 1);
      stop.abort();
      await stopped;
      expect([running(before).length, running(own).length]).toEqual([1, 0]);
      await t.sh('kill "$1"', { become, args: [stdout.trim()] });
    });

    it('has the signals and the settings of a script, and leaves its shell as it was', async () => {
      const script = 'grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status; umask; echo "$-" "$#"; trap; exit 5';
      const settings = async (): Promise<ShResult> => t.sh(`echo $$; pwd; ${script}`, { become });
      const before = await settings();
      expect(await start(newId(), script)).toEqual({ kind: 'ended', result: await t.sh(script, { become }) });
      await start(newId(), 'cd /; umask 0; set -ef; trap "" HUP PIPE; false; echo never');
      await start(newId(), 'if then');
      await start(newId(), 'exec <&- >&- 2>&-');
      expect(await settings()).toEqual(before);
    });

    it('has nothing of its text, arguments, environment or input on disk or in a command line', async () => {
      const id = newId();
      const secret = (): string => `s3cret-${randomUUID()}`;
      const secrets = {
        text: secret(),
        arg: secret(),
        env: secret(),
        stdin: secret(),
        typed: secret(),
        big: secret(),
      };
      const gate = at('gate');
      const script = `: ${secrets.text}; while [ ! -e "$2" ]; do sleep 0.02; done; wc -c`;
      const big = { ...newId() };
      const said = newId();
      const options = { args: [secrets.arg, gate], env: { V: secrets.env } };
      const all = [
        start(id, script, { ...options, stdin: secrets.stdin }),
        start(big, script, { ...options, stdin: Buffer.from(secrets.big.padEnd(100_000, '\0')) }),
      ];
      const talk = `printf 'word? '; stty echo; read -r word; ${script}`;
      const spoken = t.dialogue(
        said,
        talk.replace('wc -c', 'true'),
        [{ prompt: /word\? $/, answer: secrets.typed }],
        {
          become,
          ...options,
          mode: 'start',
        },
      );
      await eventually(() => hasBegun(id) && hasBegun(big) && existsSync(`${filesOf(said)}.answer.0`));
      const find = (): string => {
        const words = Object.values(secrets).flatMap((word) => ['-e', word]);
        const folders = [...jobRoots().map((root) => join(root, run)), directory].filter((path) =>
          existsSync(path),
        );
        try {
          return execFileSync('grep', ['-r', '-l', '--devices=skip', ...words, ...folders]).toString();
        } catch {
          return '';
        }
      };
      const shown = commandLines().filter((line) =>
        Object.values(secrets).some((word) => line.includes(word)),
      );
      expect(shown).toEqual([]);
      expect(find()).toBe('');
      writeFileSync(gate, '');
      expect((await Promise.all(all)).map(({ kind }) => kind)).toEqual(['ended', 'ended']);
      expect(await spoken).toMatchObject({ kind: 'ended' });
      expect(find()).toBe('');
    });

    describe('a dialogue', () => {
      const ANSWERS: readonly Answer[] = [
        { prompt: /one: $/, answer: 'erste' },
        { prompt: /never/, answer: 'x', isOptional: true },
        { prompt: /two: $/, answer: 'zweite' },
        { prompt: /three: $/, answer: 'dritte' },
      ];
      const TALK = `${COUNT}
        printf 'one: '; read -r one; echo; stty echo; printf 'two: '; read -r two; echo
        while [ ! -e "$2" ]; do sleep 0.02; done
        printf 'three: '; read -r three; echo "got $one $two $three"; exit 6`;
      const WHOLE = {
        kind: 'ended',
        result: {
          code: 6,
          output: 'one: \ntwo: \nthree: got erste zweite dritte\n',
          answered: ['one: ', 'two: ', 'three: '],
        },
      };

      it('happens once, each answer typed once, whoever takes it up', async () => {
        const id = newId();
        const options = { become, args: [at('ran'), at('gate')] };
        const third = subject.open();
        const first = third.dialogue(id, TALK, ANSWERS, { ...options, mode: 'start' });
        first.catch(() => undefined);
        await eventually(() => existsSync(`${filesOf(id)}.answer.1`));
        await third.close();
        const seen: string[] = [];
        const again = t.dialogue(id, TALK, ANSWERS, {
          ...options,
          mode: 'start',
          onOutput: (text) => seen.push(text),
        });
        await eventually(() => seen.join('').includes('two: '));
        writeFileSync(at('gate'), '');
        expect(await again).toEqual(WHOLE);
        expect(await other.dialogue(id, TALK, ANSWERS, { ...options, mode: 'attach' })).toEqual(WHOLE);
        expect(timesRun(at('ran'))).toBe(1);
        expect(
          readdirSync(join(filesOf(id), '..')).filter((name) => name.startsWith(`${id.key}.answer`)),
        ).toHaveLength(3);
      });

      it('does not type what another has typed', async () => {
        const id = newId();
        const talk = `while [ ! -e "$1" ]; do sleep 0.02; done; printf 'one: '; read -r one
          while [ ! -e "$2" ]; do sleep 0.02; done; stty -icanon min 0 time 5; echo "got $one, $(head -c 99)"`;
        const [gate, last] = [at('gate'), at('last')];
        const how = { become, args: [gate, last], mode: 'start' } as const;
        const first = t.dialogue(id, talk, [{ prompt: /one: $/, answer: 'mine' }], how);
        await eventually(() => existsSync(`${filesOf(id)}.tty`));
        await other.sh('echo 5 >"$1.answer.0"', { become, args: [filesOf(id)] });
        writeFileSync(gate, '');
        await eventually(() => readFileSync(`${filesOf(id)}.out`, 'utf8').includes('one: '));
        await other.sh('printf "theirs\\r" 1<>"$1.type"', { become, args: [filesOf(id)] });
        writeFileSync(last, '');
        expect(await first).toMatchObject({ kind: 'ended', result: { output: 'one: got theirs, \n' } });
      });

      it('types what was claimed and not typed', async () => {
        const id = newId();
        const options = { become, args: [at('ran'), at('gate')] };
        const first = t.dialogue(id, TALK, ANSWERS, { ...options, mode: 'start' });
        await eventually(() => existsSync(`${filesOf(id)}.answer.1`));
        // Whoever wanted to type it died before it said where.
        await other.sh(': >"$1"', { become, args: [`${filesOf(id)}.answer.2`] });
        writeFileSync(at('gate'), '');
        expect(await first).toEqual(WHOLE);
      });

      it('is absent where it was never begun, and not begun when a guard refuses', async () => {
        const id = newId();
        expect(await t.dialogue(id, 'true', [], { become, mode: 'attach' })).toEqual({ kind: 'absent' });
        const guards = [{ code: 'guard.lock' as const, script: 'refused=no', args: [] }];
        await expect(t.dialogue(id, 'true', [], { become, guards, mode: 'start' })).rejects.toMatchObject({
          code: 'guard.lock',
        });
        expect(await t.dialogue(id, 'true', [], { become, mode: 'attach' })).toEqual({ kind: 'absent' });
      });

      it('is lost with what it had shown when it was killed', async () => {
        const id = newId();
        // What is killed is the job; its program on the terminal lives on, and ends with the file.
        writeFileSync(at('alive'), '');
        const alive = 'echo on; while [ -e "$1" ]; do sleep 0.02; done; : >"$2"';
        const args = [at('alive'), at('over')];
        const talk = t.dialogue(id, alive, [], { become, args, mode: 'start' });
        await eventually(() => hasBegun(id) && readFileSync(`${filesOf(id)}.out`, 'utf8') !== '');
        killAll(id, [4, 7]);
        await talk.catch(() => undefined);
        const lost = await other.dialogue(id, '', [], { become, mode: 'attach' });
        expect(lost).toEqual({ kind: 'lost', reason: 'killed', output: 'on\n' });
        rmSync(at('alive'));
        await eventually(() => existsSync(at('over')));
      });

      it('runs more of them side by side than there are shells to follow them', async () => {
        const talks = Array.from({ length: 8 }, (_, i) =>
          t.dialogue(
            newId(),
            'printf "n: "; read -r n; echo "got $n"',
            [{ prompt: /n: $/, answer: String(i) }],
            {
              become,
              mode: 'start',
            },
          ),
        );
        expect((await Promise.all(talks)).map((end) => end.kind === 'ended' && end.result.output)).toEqual(
          talks.map((_, i) => `n: got ${i}\n`),
        );
      });
    });

    it('is listed with its state, and removed with its run unless something still runs', async () => {
      const own = `${run}-list`;
      const id = (key: string): JobId => ({ run: own, host: "it's #1", key });
      const before = Date.now();
      await start(id('ended'), 'exit 3');
      await start(id('lost'), 'true');
      const files = filesOf({ ...id('lost'), host: 'it%27s%20%231' });
      writeFileSync(`${files}.pid`, '');
      const started = start(id('running'), 'sleep 100; true').catch((error: unknown) => error);
      await eventually(() => hasBegun({ ...id('running'), host: 'it%27s%20%231' }));
      const list = async (): Promise<string[]> =>
        (await listJobs(other, { become, run: own }))
          .filter((job) => job.run === own && job.host === "it's #1")
          .map(({ key, state, code }) => `${key} ${state} ${code}`)
          .sort();
      expect(await list()).toEqual(['ended ended 3', 'lost lost null', 'running running null']);
      const jobs = (await listJobs(other, { become, run: own })).filter((job) => job.run === own);
      expect(jobs.every(({ since }) => Math.abs(Date.parse(since) - before) < 60_000)).toBe(true);
      expect(new Set(jobs.map(({ user }) => user))).toEqual(
        new Set([(await t.sh('id -un', { become })).stdout.trim()]),
      );
      expect(await removeJobs(other, own, { become })).toEqual({
        count: 0,
        running: ['it%27s%20%231/running'],
      });
      expect(await list()).toHaveLength(3);
      expect(await removeJobs(other, own, { become, host: 'node2', isStop: true })).toEqual({
        count: 0,
        running: [],
      });
      expect(await removeJobs(other, own, { become, host: "it's #1", isStop: true })).toEqual({
        count: 3,
        running: [],
      });
      expect(await list()).toEqual([]);
      expect(existsSync(join(files, '../..'))).toBe(false);
      await started;
    });

    it('is lost, and no one waits for ever, when its files are taken away meanwhile', async () => {
      const id = newId();
      const gate = at('gate');
      const script = 'echo on; while [ ! -e "$1" ]; do sleep 0.02; done';
      const started = start(id, script, { args: [gate] });
      await eventually(() => hasBegun(id));
      const files = filesOf(id);
      rmSync(`${files}.out`);
      expect(await attach(id)).toEqual({ kind: 'lost', reason: 'killed', output: expect.anything() });
      rmSync(`${files}.err`);
      rmSync(`${files}.pid`);
      writeFileSync(gate, '');
      await started.catch(() => undefined);
      expect(await start(newId(), 'echo usable')).toEqual(ended(0, 'usable\n'));
    });

    it('finds a home again when its folder was removed meanwhile', async () => {
      const id = { ...newId(), run: `${run}-again` };
      await start(id, 'true');
      await removeJobs(t, id.run, { become });
      expect(await start({ ...id, key: 'b' }, 'echo x')).toEqual(ended(0, 'x\n'));
      mkdirSync(directory, { recursive: true });
      await removeJobs(t, id.run, { become });
    });
  });
}
