import { execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Host, JobEnd, JobId, ShResult, Transport } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { removeJobs } from '../../engine/transports/jobs.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { startNode } from '../run/_node.ts';
import { ended, filesOf } from './_jobs.ts';
import { addUser, listening, startSshd } from './_sshd.ts';
import type { Sshd } from './_sshd.ts';
import { eventually } from './_suite.ts';

const HERE: Host = { name: 'here', groups: [], vars: {}, connection: { transport: 'local' } };
/** $1: a line for each time it runs; $2: goes on when this is there. */
const SCRIPT =
  'echo ran >>"$1"; echo begun; head -c 300000 /dev/zero | tr "\\0" x; while [ ! -e "$2" ]; do sleep 0.02; done; echo; echo over; echo err >&2; exit 5';
const WHOLE = ended(5, `begun\n${'x'.repeat(300_000)}\nover\n`, 'err\n');

/** Kills a process and all below it at once, as `pkill -9` would. */
function killTree(pid: number): void {
  const below = (of: number): number[] => {
    try {
      const own = execFileSync('pgrep', ['-P', String(of)])
        .toString()
        .trim()
        .split('\n')
        .map(Number);
      // sshd's own: what it has started for the user lives on.
      return own
        .filter((one) => readFileSync(`/proc/${one}/comm`, 'utf8').startsWith('sshd'))
        .flatMap((one) => [one, ...below(one)]);
    } catch {
      return [];
    }
  };
  for (const one of [...below(pid), pid]) process.kill(one, 'SIGKILL');
}

/** A way to a port that can be cut. */
async function startProxy(port: number): Promise<{ port: number; cut(): void; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
    near.pipe(far).pipe(near);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: await listening(server),
    cut,
    close() {
      cut();
      server.close();
    },
  };
}

describe('a job whose engine or connection is gone', { timeout: 60_000 }, () => {
  const run = `test-${randomUUID()}`;
  let directory: string;
  let sshd: Sshd;
  let number = 0;
  const open: Transport[] = [];
  const to = (host: Host): Transport => {
    const transport = openTransport(host, { redactor: new Redactor() });
    open.push(transport);
    return transport;
  };
  const here = to(HERE);

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'drillbook-cut-'));
    chmodSync(directory, 0o777);
    sshd = await startSshd();
  });
  afterAll(async () => {
    await removeJobs(here, run, { isStop: true });
    await Promise.all(open.map((transport) => transport.close()));
    await sshd.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const newId = (host = 'node1'): JobId => ({ run, host, key: `7.${++number}` });
  const at = (file: string): string => join(directory, `${number}-${file}`);
  const timesRun = (): number => readFileSync(at('ran'), 'utf8').split('\n').length - 1;
  const letGo = (): void => writeFileSync(at('gate'), '');
  const hasSaid = (id: JobId): boolean => {
    const file = `${filesOf(id)}.out`;
    return existsSync(file) && statSync(file).size > 300_000;
  };
  const job = (via: Transport, id: JobId, mode: 'start' | 'attach' = 'start'): Promise<JobEnd<ShResult>> =>
    via.job(id, SCRIPT, { args: [at('ran'), at('gate')], mode });
  const engine = (errand: object): ReturnType<typeof spawn> =>
    spawn(process.execPath, [join(import.meta.dirname, '_mortal.ts'), JSON.stringify(errand)], {
      stdio: 'inherit',
    });

  for (const [name, host] of [
    ['local', (): Host => HERE],
    ['ssh', (): Host => sshd.host()],
  ] as const) {
    it.each([
      ['while it runs', true],
      ['after it has ended', false],
    ])(`goes on without the engine and is taken up whole, ${name}: %s`, async (_, isRunning) => {
      const id = newId(host().name);
      const child = engine({ ...id, host: host(), script: SCRIPT, args: [at('ran'), at('gate')] });
      await eventually(() => hasSaid(id));
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('close', resolve));
      if (!isRunning) {
        letGo();
        await eventually(() => /^ *5 /.test(readFileSync(`${filesOf(id)}.pid`, 'utf8')));
      }
      const end = job(to(host()), id, isRunning ? 'start' : 'attach');
      if (isRunning) letGo();
      expect(await end).toEqual(WHOLE);
      expect(timesRun()).toBe(1);
    });

    it(`types each answer of a dialogue once, though its engine was killed in between: ${name}`, async () => {
      const id = newId(host().name);
      const script = `echo ran >>"$1"; printf 'one: '; read -r one; echo; echo "heard $one"; while [ ! -e "$2" ]; do sleep 0.02; done; printf 'two: '; read -r two; echo "got $one $two"; exit 6`;
      const answers = [
        ['one: $', 'erste'],
        ['two: $', 'zweite'],
      ] as const;
      const args = [at('ran'), at('gate')];
      const child = engine({ ...id, host: host(), script, args, answers });
      await eventually(() => {
        const file = `${filesOf(id)}.out`;
        return existsSync(file) && readFileSync(file, 'utf8').includes('heard');
      });
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('close', resolve));
      letGo();
      const wanted = answers.map(([prompt, answer]) => ({ prompt: new RegExp(prompt), answer }));
      expect(await to(host()).dialogue(id, script, wanted, { args, mode: 'start' })).toEqual({
        kind: 'ended',
        result: {
          code: 6,
          output: 'one: \nheard erste\ntwo: got erste zweite\n',
          answered: ['one: ', 'two: '],
        },
      });
      expect(timesRun()).toBe(1);
    });
  }

  it.each([
    [
      'the session of sshd is killed',
      async (via: Transport) => killTree(Number((await via.sh('echo $PPID')).stdout)),
    ],
    [
      'all of sshd is killed',
      async (_: Transport, own: Sshd) => {
        killTree(own.process.pid ?? 0);
        return Promise.resolve();
      },
    ],
    [
      'the network is cut',
      (_: Transport, __: Sshd, cut: () => void) => {
        cut();
        return Promise.resolve();
      },
    ],
  ])('goes on when %s, and is taken up whole', async (_, cut) => {
    const own = await startSshd();
    const proxy = await startProxy(own.port);
    const known = join(own.directory, 'known_proxy');
    writeFileSync(
      known,
      readFileSync(own.knownHosts, 'utf8').replaceAll(String(own.port), String(proxy.port)),
    );
    try {
      const id = newId();
      const via = to(own.host({ port: proxy.port, knownHosts: known }));
      const started = job(via, id).catch((error: unknown) => error);
      await eventually(() => hasSaid(id));
      await cut(via, own, proxy.cut);
      expect(await started).toMatchObject({ code: 'host.lost' });
      const again = job(to(sshd.host()), id);
      letGo();
      expect(await again).toEqual(WHOLE);
      expect(timesRun()).toBe(1);
    } finally {
      proxy.close();
      await own.stop();
    }
  });

  it.each([
    ['sudo', ''],
    ['sudo', 'use_pty'],
    ['su', ''],
  ] as const)(
    'goes on for a user who became another by %s %s when the session is killed',
    async (method, setting) => {
      const user = addUser('ALL=(ALL) ALL');
      const other = addUser();
      const rules = `/etc/sudoers.d/${user.name}`;
      if (setting !== '')
        writeFileSync(rules, `${readFileSync(rules, 'utf8')}Defaults:${user.name} ${setting}\n`);
      const become =
        method === 'su'
          ? { user: other.name, method, password: other.password }
          : { user: 'root', method, password: user.password };
      const via = to(sshd.host({ user: user.name }));
      try {
        const id = newId();
        const parent = Number((await via.sh('echo $PPID')).stdout);
        const options = { args: [at('ran'), at('gate')], become };
        const started = via.job(id, SCRIPT, { ...options, mode: 'start' }).catch((error: unknown) => error);
        await eventually(() => hasSaid(id));
        process.kill(parent, 'SIGKILL');
        expect(await started).toMatchObject({ code: 'host.lost' });
        const again = via.job(id, SCRIPT, { ...options, mode: 'start' });
        letGo();
        expect(await again).toEqual(WHOLE);
        expect(timesRun()).toBe(1);
      } finally {
        await removeJobs(via, run, { become });
        user.remove();
        other.remove();
      }
    },
  );

  it('is never begun with an input that a lost connection has cut short', async () => {
    const id = newId();
    const via = to(sshd.host());
    const parent = Number((await via.sh('echo $PPID')).stdout);
    const started = via
      .job(id, 'echo ran >>"$1"', { args: [at('ran')], stdin: randomBytes(200_000_000), mode: 'start' })
      .catch((error: unknown) => error);
    const folder = `/var/lib/drillbook/jobs/${run}/node1`;
    const staged = (): string[] =>
      existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith(`${id.key}.in.`)) : [];
    await eventually(() => staged().some((name) => statSync(join(folder, name)).size > 1_000_000));
    expect(staged().map((name) => statSync(join(folder, name)).mode & 0o777)).toEqual([0o600]);
    process.kill(parent, 'SIGKILL');
    expect(await started).toMatchObject({ code: 'host.lost' });
    await eventually(() => staged().length === 0);
    expect(await here.job(id, '', { mode: 'attach' })).toEqual({ kind: 'absent' });
    expect(existsSync(at('ran'))).toBe(false);
  });

  it('is not begun where its files would lie in the folder of another, or behind a link', async () => {
    const user = addUser();
    try {
      const uid = execFileSync('id', ['-u', user.name]).toString().trim();
      const root = `/var/tmp/drillbook-${uid}`;
      const via = to(
        sshd.host({ user: user.name, password: user.password, identityFile: sshd.identityFile }),
      );
      const refused = {
        code: 'step.failed',
        message: expect.stringContaining('is a link or belongs to another user'),
      };
      const elsewhere = mkdtempSync(join(tmpdir(), 'drillbook-elsewhere-'));
      execFileSync('chown', [user.name, elsewhere]);
      symlinkSync(elsewhere, root);
      await expect(via.job(newId(), 'true', { mode: 'start' })).rejects.toMatchObject(refused);
      expect(readdirSync(elsewhere)).toEqual([]);
      rmSync(root);
      rmSync(elsewhere, { recursive: true });
      mkdirSync(root, { mode: 0o777 });
      chmodSync(root, 0o777);
      await expect(via.job(newId(), 'true', { mode: 'start' })).rejects.toMatchObject(refused);
      rmSync(root, { recursive: true });
      expect(await via.job(newId(), 'echo fine', { mode: 'start' })).toEqual(ended(0, 'fine\n'));
      expect(statSync(root).mode & 0o777).toBe(0o700);
      rmSync(root, { recursive: true });
    } finally {
      user.remove();
    }
  });

  it('says that a dialogue needs script, and has not begun it', async () => {
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    for (const name of ['sh', 'id', 'mkdir', 'cat', 'rm'])
      symlinkSync(execFileSync('which', [name]).toString().trim(), join(bin, name));
    const bare = await startSshd([`SetEnv PATH=${bin}`]);
    try {
      const id = newId();
      const via = to(bare.host());
      await expect(via.dialogue(id, 'true', [], { mode: 'start' })).rejects.toMatchObject({
        code: 'step.failed',
        message: 'no job can be begun on node1: a dialogue needs `script` (util-linux, bsdutils) there',
      });
      expect(await via.dialogue(id, 'true', [], { mode: 'attach' })).toEqual({ kind: 'absent' });
    } finally {
      await bare.stop();
    }
  });

  it('says that the disk is full and has not begun; one that filled it up has ended all the same', async () => {
    const node = await startNode('size=100k');
    const via = to(node.host('node1'));
    try {
      const id = newId();
      const filling = await via.job(id, 'head -c 1000000 /dev/zero; exit 3', { mode: 'start' });
      // There was no room for its error either.
      expect(filling).toMatchObject({ kind: 'ended', result: { code: 3 } });
      expect(
        statSync(`${node.path(`/var/lib/drillbook/jobs/${run}/node1`)}/${id.key}.out`).size,
      ).toBeGreaterThan(1000);
      expect(await via.job(id, '', { mode: 'attach' })).toEqual(filling);
      const late = newId();
      await expect(
        via.job(late, 'echo ran >>"$1"', { args: [at('ran')], mode: 'start' }),
      ).rejects.toMatchObject({
        code: 'step.failed',
        message: expect.stringMatching(/^no job can be begun on node1: .*(No space|I\/O error)/i),
      });
      expect(await via.job(late, '', { mode: 'attach' })).toEqual({ kind: 'absent' });
      expect(existsSync(at('ran'))).toBe(false);
    } finally {
      await via.close();
      await node.sshd.stop();
    }
  });
});
