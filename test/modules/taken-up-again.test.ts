import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Outcome, Result } from '../../engine/core/module.ts';
import type { Cut, Stage } from './_taking.ts';
import { everyCut } from './_taking.ts';

let dir: string;
let inventory: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drillbook-taking-'));
  inventory = join(dir, 'inventory.yml');
  await writeFile(inventory, 'hosts: { here: { connection: { transport: local } } }\n');
  await writeFile(
    join(dir, 'act'),
    `#!/bin/sh
cat
echo begun; echo aside >&2
echo once >>'${dir}/count'
tries=0; while [ -e '${dir}/hold' ] && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
head -c 8 /dev/urandom | od -An -tx1 >'${dir}/said'
cat '${dir}/said'
touch '${dir}/made'`,
  );
  await writeFile(
    join(dir, 'ask'),
    `printf 'sure? '; read -r sure; echo "sure=$sure" >>'${dir}/count'
tries=0; while [ -e '${dir}/hold' ] && [ $tries -lt 200 ]; do sleep 0.05; tries=$((tries + 1)); done
printf 'password: '; read -r password; echo "length \${#password}"`,
  );
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const textOf = (name: string): Promise<string> => readFile(join(dir, name), 'utf8').catch(() => '');

/** Under way is what has counted itself; cut then, it is held until it has been asked about again. */
const trial = {
  stage: (isAgain: boolean): Stage => ({
    inventory,
    host: 'here',
    begun: () => expect.poll(() => textOf('count'), { timeout: 10_000, interval: 10 }).not.toBe(''),
    ...(isAgain ? { onExchange: () => rm(join(dir, 'hold'), { force: true }) } : {}),
  }),
  async reset(cut?: Cut) {
    for (const name of ['count', 'hold', 'said', 'made']) await rm(join(dir, name), { force: true });
    if (cut?.when === 'during') await writeFile(join(dir, 'hold'), '');
  },
};

/** Half of what it says is new each time: a second time, or another life's words, would show. */
async function seen({ result, ...rest }: Outcome): Promise<unknown> {
  const said = await textOf('said');
  const stdout = String(result['stdout']);
  return {
    ...rest,
    count: await textOf('count'),
    made: (await textOf('made')) === '',
    result: { ...result, stdout: stdout.replace(said.trimEnd(), 'SAID'), stdout_lines: undefined },
  };
}

describe('cut in every way at every exchange and taken up again, it was done once and says the same', () => {
  test.each<[string, () => Result]>([
    ['command', () => ({ argv: ['sh', join(dir, 'act')], stdin: 'input', creates: join(dir, 'made') })],
    ['shell', () => ({ cmd: `sh '${dir}/act'; exit 0`, stdin: 'input', creates: join(dir, 'made') })],
    ['script', () => ({ src: join(dir, 'act'), executable: '/bin/sh', creates: join(dir, 'made') })],
  ])('%s', async (module, params) => {
    expect(await everyCut({ ...trial, module, params: params(), seen })).toBeGreaterThanOrEqual(6);
  });

  test('dialogue', async () => {
    const params = {
      cmd: `sh '${dir}/ask'`,
      responses: [
        { prompt: 'sure\\?', answer: 'y' },
        { prompt: 'password:', answer: 'secret', secret: true },
      ],
    };
    const times = await everyCut({
      ...trial,
      module: 'dialogue',
      params,
      seen: async (outcome) => ({ outcome, count: await textOf('count') }),
    });
    expect(times).toBeGreaterThanOrEqual(6);
  });
});
