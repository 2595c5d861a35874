import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensureImage } from '../../engine/lab/image.ts';
import { inventoryOf } from '../../engine/lab/inventory.ts';
import { downLab, leftovers } from '../../engine/lab/lab.ts';
import { meetRequirements } from '../../engine/lab/requirements.ts';
import { claim, downOwn } from './_fresh.ts';

const NAME = 'test-crash';
const main = resolve(import.meta.dirname, '../../engine/cli/main.ts');
const cache = mkdtempSync(join(tmpdir(), 'lab-cache-'));

interface Command {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly text: string }>;
}

function lab(args: readonly string[], env: Readonly<Record<string, string>> = {}): Command {
  const child = spawn(process.execPath, [main, 'lab', ...args], {
    env: { ...process.env, ...env },
    stdio: 'pipe',
  });
  let text = '';
  child.stdout.on('data', (piece: Buffer) => (text += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (text += piece.toString()));
  return { child, ended: new Promise((end) => child.once('close', (code) => end({ code, text }))) };
}

/** Processes with `word` among their arguments, this one apart. */
const processesWith = (word: string): readonly string[] =>
  readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && pid !== String(process.pid))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word);
      } catch {
        return false;
      }
    });

const building = (): readonly string[] =>
  existsSync(join(cache, 'images')) ? readdirSync(join(cache, 'images')) : [];

/** At the moment when nodes have cards and boot, but the command has not come back. */
const bootsNodes = (): Promise<void> =>
  expect
    .poll(async () => (await leftovers(NAME)).some((found) => found.endsWith('m-1')), {
      timeout: 240_000,
      interval: 5,
    })
    .toBe(true);

beforeAll(async () => {
  await meetRequirements(() => undefined, undefined);
  await ensureImage('mariadb', { onProgress: () => undefined });
  claim(NAME);
  await downLab(NAME);
});
afterAll(async () => {
  await downOwn(NAME);
  rmSync(cache, { recursive: true, force: true });
}, 60_000);

test('Ctrl-C while nodes boot leaves nothing and ends with 3', async () => {
  const up = lab(['up', '--name', NAME]);
  await bootsNodes();
  up.child.kill('SIGINT');
  const { code, text } = await up.ended;
  expect(text).toContain(`nothing is left of lab ${NAME}`);
  expect(code).toBe(3);
  expect(await leftovers(NAME)).toEqual([]);
}, 300_000);

test('Ctrl-C whose clean-up fails does not say that nothing is left', async () => {
  const up = lab(['up', '--name', NAME]);
  await bootsNodes();
  rmSync(inventoryOf(NAME));
  mkdirSync(inventoryOf(NAME));
  up.child.kill('SIGINT');
  const { code, text } = await up.ended;
  rmdirSync(inventoryOf(NAME));
  expect([code, text]).toEqual([1, expect.not.stringContaining('nothing is left')]);
  await downLab(NAME);
}, 300_000);

test('what a killed `up` leaves is taken away by `down`', async () => {
  const up = lab(['up', '--name', NAME]);
  await bootsNodes();
  up.child.kill('SIGKILL');
  await up.ended;
  expect(await leftovers(NAME)).not.toEqual([]);
  expect(await lab(['down', '--name', NAME]).ended).toMatchObject({ code: 0 });
  expect(await leftovers(NAME)).toEqual([]);
}, 300_000);

test('a new `up` goes on over what a killed one left', async () => {
  const up = lab(['up', '--name', NAME]);
  await bootsNodes();
  up.child.kill('SIGKILL');
  await up.ended;
  expect(await lab(['up', '--name', NAME]).ended).toMatchObject({ code: 0 });
  expect(await lab(['ssh', 'dbk2', '--name', NAME, '--', 'cat', '/etc/hostname']).ended).toMatchObject({
    code: 0,
    text: 'dbk2\n',
  });
  await downLab(NAME);
}, 300_000);

test('two processes do not work on one lab at the same time', async () => {
  const up = lab(['up', '--name', NAME]);
  await bootsNodes();
  expect(await lab(['down', '--name', NAME]).ended).toMatchObject({
    code: 1,
    text: expect.stringContaining(`another process works on lab ${NAME} now`) as string,
  });
  expect(await up.ended).toMatchObject({ code: 0 });
  await downLab(NAME);
}, 300_000);

test.each(['SIGINT', 'SIGKILL'] as const)(
  'an image build ended by %s leaves no process, mount or image',
  async (signal) => {
    const up = lab(['up', '--name', NAME], { DRILLBOOK_CACHE: cache });
    // Its packages are being unpacked: mmdebstrap has mounts and children now.
    await expect
      .poll(() => building().some((name) => existsSync(join(cache, 'images', name, 'proc'))), {
        timeout: 240_000,
      })
      .toBe(true);
    up.child.kill(signal);
    await up.ended;
    await expect.poll(() => processesWith(cache), { timeout: 30_000 }).toEqual([]);
    expect(readFileSync('/proc/mounts', 'utf8')).not.toContain(cache);
    if (signal === 'SIGINT') expect(building()).toEqual([]);
    else expect(building().every((name) => name.startsWith('.'))).toBe(true);
    await downLab(NAME);
    expect(await leftovers(NAME)).toEqual([]);
  },
  400_000,
);
