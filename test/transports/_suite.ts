import {
  mkdtempSync,
  chmodSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DrillbookError } from '../../engine/core/error.ts';
import type { Answer, Become, DialogueResult, JobId, ShOptions, Transport } from '../../engine/core/host.ts';
import { removeJobs } from '../../engine/transports/jobs.ts';

export interface Subject {
  readonly transport: Transport;
  readonly become?: Become | undefined;
  stop(): Promise<void>;
}

/** The run of all jobs of the suite. */
const RUN = `test-${randomUUID()}`;

/** Command lines of what runs now; what has ended and was not yet waited for has none. */
export function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      } catch {
        return '';
      }
    });
}

/** A duration for `sleep` that no other test uses, to find it again. */
export const uniqueSleep = (): string => `${randomInt(1000, 9000)}.${randomInt(100000, 999999)}`;

/** What runs `sleep` with that duration. */
export const running = (duration: string): string[] =>
  commandLines().filter((line) => line === `sleep ${duration}`);

/** Waits for a condition. */
export async function eventually(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setImmediate(resolve));
}

/** What every transport must do, for every user and shell. */
export function transportSuite(name: string, make: () => Promise<Subject>): void {
  describe(name, { timeout: 30_000 }, () => {
    let subject: Subject;
    let t: Transport;
    let become: Become | undefined;
    let directory: string;

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'drillbook-transport-'));
      chmodSync(directory, 0o777);
      subject = await make();
      t = subject.transport;
      become = subject.become;
      await t.open();
    });
    afterAll(async () => {
      await removeJobs(t, RUN, { become });
      await t.close();
      await subject.stop();
      rmSync(directory, { recursive: true, force: true });
    });
    const sh = (script: string, options: Parameters<Transport['sh']>[1] = {}): ReturnType<Transport['sh']> =>
      t.sh(script, { become, ...options });
    const jobId = (): JobId => ({ run: RUN, host: 'node1', key: randomUUID() });
    const talk = async (
      command: string,
      answers: readonly Answer[],
      options: ShOptions = {},
    ): Promise<DialogueResult> => {
      const end = await t.dialogue(jobId(), command, answers, { become, ...options, mode: 'start' });
      if (end.kind !== 'ended') throw new Error(`the dialogue is ${end.kind}`);
      return end.result;
    };
    const shellPid = async (): Promise<string> => (await sh('echo $$')).stdout;

    it('tells both outputs and the exit code apart', async () => {
      expect(await sh('echo out; echo err >&2; exit 7')).toEqual({
        code: 7,
        stdout: 'out\n',
        stderr: 'err\n',
      });
    });

    it('keeps output without a newline at its end, and empty output, exact', async () => {
      expect(await sh('printf "a\\n\\n"; printf b >&2')).toEqual({ code: 0, stdout: 'a\n\n', stderr: 'b' });
      expect(await sh('')).toEqual({ code: 0, stdout: '', stderr: '' });
    });

    it.each([
      ['exit', 'exit 3'],
      ['cd and variables', 'cd /; X=1; export X; umask 0; set -f'],
      ['set -e', 'set -e; false; echo never'],
      ['a trap', 'trap "echo bye" EXIT; exit 3'],
      ['exec', 'exec true'],
      ['closed streams', 'exec <&- >&- 2>&-'],
      ['a syntax error', 'if then'],
      ['an unfinished quote', "echo 'abc"],
      ['an unset variable', 'set -u; echo $NOT_THERE_AT_ALL'],
    ])('lives on unchanged after a script with %s', async (_, script) => {
      const before = await sh('echo $$; pwd; umask; echo "$-" "$X"');
      await sh(script);
      expect(await sh('echo $$; pwd; umask; echo "$-" "$X"')).toEqual(before);
    });

    it('stops at the first failure under set -e', async () => {
      expect(await sh('set -e; echo one; false; echo two')).toMatchObject({ code: 1, stdout: 'one\n' });
    });

    it('runs the trap of a script at its end', async () => {
      expect(await sh('trap "echo bye" EXIT; exit 3')).toMatchObject({ code: 3, stdout: 'bye\n' });
    });

    it('reports a signal as 128 + its number', async () => {
      expect((await sh('sh -c "kill -9 \\$\\$"')).code).toBe(137);
    });

    it('gives a new shell when a script killed its own', async () => {
      expect((await sh('echo before; kill -9 $$; sleep 1')).code).toBeGreaterThan(0);
      expect((await sh('echo after')).stdout).toBe('after\n');
    });

    it('delivers hostile arguments exactly', async () => {
      const args = [
        "'",
        '"',
        '$(touch /tmp/pwned) `id` $HOME',
        'a\nb\n',
        '',
        '-n',
        '\\',
        '\\n',
        '*',
        ' x ',
        'é漢🙂',
        '!!',
        '\r\t\u0001',
      ];
      const { stdout } = await sh('for a; do printf "<%s>" "$a"; done', { args });
      expect(stdout).toBe(args.map((arg) => `<${arg}>`).join(''));
    });

    it('delivers an argument of a megabyte', async () => {
      const big = `${randomBytes(500_000).toString('hex')}'`;
      const { stdout } = await sh('printf %s "$1"', { args: [big] });
      expect(stdout === big).toBe(true);
    });

    it('refuses a NUL byte in an argument with a clear sentence', async () => {
      await expect(sh(':', { args: ['a\0b'] })).rejects.toThrow('argument 1 holds a NUL byte');
    });

    it('sets the environment, and for this script only', async () => {
      const value = `a'b "$(id)"\n`;
      expect((await sh('printf %s "$DRILL"', { env: { DRILL: value } })).stdout).toBe(value);
      expect((await sh('printf %s "$DRILL"')).stdout).toBe('');
    });

    it('refuses a name of the environment that would be code', async () => {
      await expect(sh(':', { env: { 'A; id': '1' } })).rejects.toThrow('not a name');
    });

    it('gives a script an empty standard input, so that it cannot eat what follows', async () => {
      expect(await sh('cat; wc -c')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\s*0\n$/) });
      expect((await sh('read -r x; echo "$?"')).stdout).toBe('1\n');
    });

    it.each([
      ['a line', Buffer.from(`it's\n`)],
      ['text without newline', Buffer.from('%s %d \\n')],
      ['every byte', Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
      ['300 kB', randomBytes(300_000)],
    ])('delivers standard input: %s', async (_, stdin) => {
      const { stdout } = await sh('cksum', { stdin });
      const file = join(directory, 'input');
      writeFileSync(file, stdin);
      expect(stdout).toBe((await sh('cksum <"$1"', { args: [file] })).stdout);
      rmSync(file);
    });

    it('never takes unread input for commands', async () => {
      const trap = join(directory, 'trapped');
      const stdin = Buffer.from(`touch ${trap}\n`.repeat(20_000));
      const before = await shellPid();
      expect(await sh('head -n 1 >/dev/null; exit 4', { stdin })).toMatchObject({ code: 4, stdout: '' });
      expect(await sh('exit 5', { stdin })).toMatchObject({ code: 5 });
      expect(await shellPid()).toBe(before);
      expect(existsSync(trap)).toBe(false);
    });

    it('carries megabytes on both outputs at once', async () => {
      const { stdout, stderr } = await sh(
        'head -c 4000000 /dev/zero | tr "\\0" o & head -c 4000000 /dev/zero | tr "\\0" e >&2; wait',
      );
      expect([stdout.length, stderr.length]).toEqual([4_000_000, 4_000_000]);
      expect(/^o*$/.test(stdout) && /^e*$/.test(stderr)).toBe(true);
    });

    it('shows output as it comes', async () => {
      const gate = join(directory, 'gate');
      const pieces: string[] = [];
      const done = sh('echo first; while [ ! -e "$1" ]; do sleep 0.02; done; printf "é last"', {
        args: [gate],
        onOutput: (text) => pieces.push(text),
      });
      await eventually(() => pieces.join('') === 'first\n');
      writeFileSync(gate, '');
      expect((await done).stdout).toBe('first\né last');
      expect(pieces.join('')).toBe('first\né last');
    });

    it('does not wait for a process left in the background that holds the output', async () => {
      const duration = uniqueSleep();
      const { stdout } = await sh(`sleep ${duration} & echo $!`);
      await eventually(() => running(duration).length === 1);
      await sh('kill "$1"', { args: [stdout.trim()] });
    });

    it('runs many scripts at once, each with its own output', async () => {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) => sh('sleep 0.05; echo "$1" $$', { args: [String(i)] })),
      );
      const lines = results.map(({ stdout }) => stdout.trim().split(' '));
      expect(lines.map(([i]) => Number(i))).toEqual(Array.from({ length: 20 }, (_, i) => i));
      // MaxSessions of sshd is 10.
      expect(new Set(lines.map(([, pid]) => pid)).size).toBeLessThanOrEqual(6);
    });

    it('kills what a timed-out script has started, and is usable afterwards', async () => {
      const [a, b, c] = [uniqueSleep(), uniqueSleep(), uniqueSleep()];
      const stop = new AbortController();
      // The second has lost its parent.
      const script = `sleep ${a} & (sleep ${b} &); sleep ${c}; sleep ${c}`;
      const failed = sh(script, { signal: stop.signal }).catch((error: unknown) => error);
      await eventually(() => [a, b, c].every((duration) => running(duration).length === 1));
      stop.abort();
      expect(await failed).toMatchObject({ code: 'step.timeout' });
      expect([a, b, c].flatMap(running)).toEqual([]);
      expect((await sh('echo usable')).stdout).toBe('usable\n');
    });

    it('kills everything that runs at once when a run is stopped', async () => {
      const duration = uniqueSleep();
      const stop = new AbortController();
      const all = Array.from({ length: 6 }, () => sh(`sleep ${duration}; true`, { signal: stop.signal }));
      const results = Promise.allSettled(all);
      await eventually(() => running(duration).length === 6);
      stop.abort();
      expect((await results).every(({ status }) => status === 'rejected')).toBe(true);
      expect(running(duration)).toEqual([]);
    });

    it('stops before it starts when the time is already up', async () => {
      const file = join(directory, 'late');
      await expect(sh('touch "$1"', { args: [file], signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: 'step.timeout',
      });
      expect(existsSync(file)).toBe(false);
    });

    it('stops with the reason that the runner gave', async () => {
      const reason = new DrillbookError('step.interrupted', 'the operator stopped the run');
      const stop = new AbortController();
      const failed = sh('echo on; sleep 100', { signal: stop.signal, onOutput: () => stop.abort(reason) });
      await expect(failed).rejects.toBe(reason);
    });

    it.each([
      ['small text', Buffer.from("it's $(id)\\n\n"), 0o640],
      ['nothing', Buffer.alloc(0), 0o600],
      ['every byte', Buffer.from(Array.from({ length: 256 }, (_, i) => i)), 0o644],
      ['20 kB of text', Buffer.from('é\n'.repeat(7000)), 0o755],
      ['2 MB', randomBytes(2_000_000), 0o4755],
    ])('puts and gets a file: %s', async (_, content, mode) => {
      const path = join(directory, `put it's $(id)`);
      writeFileSync(path, 'old', { mode: 0o600 });
      await t.put(path, content, { mode, become });
      expect(readFileSync(path).equals(content)).toBe(true);
      expect(statSync(path).mode & 0o7777).toBe(mode);
      expect(Buffer.from(await t.get(path, { become })).equals(content)).toBe(true);
      expect(readdirSync(directory).filter((name) => name.includes('drillbook'))).toEqual([]);
      rmSync(path);
    });

    it('writes a file that only its owner can read unless told otherwise', async () => {
      const path = join(directory, 'private');
      await t.put(path, Buffer.from('x'), { become });
      expect(statSync(path).mode & 0o7777).toBe(0o600);
    });

    it('says why a file cannot be put or got', async () => {
      const missing = join(directory, 'missing', 'file');
      await expect(t.put(missing, Buffer.from('x'), { become })).rejects.toThrow(
        /cannot write .*(nonexistent|No such)/i,
      );
      await expect(t.get(missing, { become })).rejects.toThrow(/cannot read .*No such file/);
      await expect(t.put(directory, Buffer.from('x'), { become })).rejects.toThrow('it is a directory');
    });

    it('answers the prompts of a dialogue on a terminal and shows no answer', async () => {
      const command = `
        test -t 0 && test -t 1 || exit 9
        printf 'Name: '; read -r name
        stty echo
        printf 'Password: '; read -r password
        printf 'Sure? '; read -r sure
        [ "$name/$password/$sure" = "bob/s3cret word/yes" ] && echo "fine $1 $V"; exit 4`;
      const result = await talk(
        command,
        [
          { prompt: /Name: $/, answer: 'bob' },
          { prompt: /Old password/, answer: 'no', isOptional: true },
          { prompt: /password: $/i, answer: 's3cret word' },
          { prompt: /Sure/, answer: 'yes' },
        ],
        { args: ["a 'b'"], env: { V: 'v"v' } },
      );
      expect(result).toEqual({
        code: 4,
        output: `Name: Password: Sure? fine a 'b' v"v\n`,
        answered: ['Name: ', 'Password: ', 'Sure'],
      });
    });

    it('ends a dialogue whose prompt never comes with what was answered', async () => {
      const answers = [
        { prompt: /one/, answer: '1' },
        { prompt: /two/, answer: '2' },
      ];
      const result = await talk('printf one; read -r x; echo "got $x"', answers);
      expect(result).toEqual({ code: 0, output: 'onegot 1\n', answered: ['one'] });
    });

    it('kills a dialogue when its time is up, and leaves no file of it', async () => {
      const duration = uniqueSleep();
      const stop = new AbortController();
      const failed = talk(`sleep ${duration}`, [], { signal: stop.signal }).catch((error: unknown) => error);
      await eventually(() => running(duration).length === 1);
      stop.abort();
      expect(await failed).toMatchObject({ code: 'step.timeout' });
      expect(running(duration)).toEqual([]);
    });

    it('dials a port and a unix socket of the host', async () => {
      const path = join(directory, 'socket');
      for (const at of [path, 0] as const) {
        const server = createServer((socket) => socket.pipe(socket));
        await new Promise<void>((resolve) => server.listen(at, resolve));
        const address = server.address();
        if (typeof at === 'string') chmodSync(path, 0o777);
        const endpoint =
          typeof address === 'object' && address !== null
            ? { host: '127.0.0.1', port: address.port }
            : { socketPath: path };
        const stream = await t.dial(endpoint);
        stream.write('echo');
        expect(String(await new Promise((resolve) => stream.once('data', resolve)))).toBe('echo');
        stream.destroy();
        await new Promise((resolve) => server.close(resolve));
      }
      await expect(t.dial({ socketPath: join(directory, 'none') })).rejects.toMatchObject({
        code: 'step.dial',
      });
    });
  });
}
