import { expect, test } from 'vitest';
import { Redactor } from '../../engine/core/secret.ts';
import lab from '../../engine/cli/lab.ts';
import { requireKernel } from '../../engine/lab/requirements.ts';

const run = (
  positionals: readonly string[],
  options: Readonly<Record<string, string | boolean>> = {},
): Promise<number> =>
  lab.run({
    positionals,
    options: { name: 'test-verbs', database: 'mariadb', nodes: '2', ...options },
    stateDir: '/nonexistent',
    output: 'plain',
    isColor: false,
    isVerbose: false,
    redactor: new Redactor(),
    signal: new AbortController().signal,
  });

test.each([
  [['pu'], {}, 'lab has no verb `pu`', 'did you mean `up`?'],
  [['up'], { database: 'oracle' }, 'a lab has no database `oracle`', 'allowed: mariadb, mysql'],
  [['up'], { nodes: '10' }, 'a lab has 1 to 9 nodes, not 10', undefined],
  [['up'], { nodes: 'dbk1,DBK2' }, '`DBK2` cannot be the name of a lab or node', expect.anything()],
  [['up'], { nodes: 'dbk1,dbk1' }, 'two nodes are called dbk1', undefined],
  [['status'], {}, 'there is no lab test-verbs', '`drillbook lab up --name test-verbs` makes one'],
  [['ssh'], {}, 'a node is missing: lab ssh NODE [-- COMMAND]', undefined],
  [['power-off', 'dbk1'], {}, 'there is no lab test-verbs', expect.anything()],
] as const)('lab %j %j is refused before anything is made', async (words, options, message, hint) => {
  await expect(run(words, options)).rejects.toMatchObject({ code: 'usage.lab', message, hint });
});

test('taking down a lab that is not there is no error', async () => {
  expect(await run(['down'])).toBe(0);
});

test('a machine whose kernel cannot end a node at once is told so', () => {
  for (const version of ['5.10.0-28-amd64', '4.19.0'])
    expect(() => requireKernel(version)).toThrow('Linux 5.14');
  for (const version of ['5.14.0', '6.1.0-18-amd64', '10.0']) requireKernel(version);
});

test.runIf(process.getuid?.() === 0)('a user who is not root is told so', async () => {
  process.seteuid?.(65534);
  const geteuid = process.geteuid?.();
  try {
    expect(geteuid).toBe(65534);
    await expect(run(['up'])).rejects.toMatchObject({ code: 'lab.root' });
    await expect(run(['down'])).rejects.toMatchObject({ code: 'lab.root' });
  } finally {
    process.seteuid?.(0);
  }
});
