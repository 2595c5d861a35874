import { expect, test } from 'vitest';
import type { Host, Transport } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { connections } from '../../engine/run/connections.ts';

const HOST: Host = { name: 'a', groups: [], vars: {}, connection: { transport: 'local' } };

test('a connection that two steps used and that broke is dropped once; the new one stays', async () => {
  const closed: number[] = [];
  const gone: number[] = [];
  let made = 0;
  const open = (): Transport => {
    const number = ++made;
    return {
      open: () => Promise.resolve(),
      isGone: () => gone.includes(number),
      close: () => Promise.resolve(void closed.push(number)),
    } as unknown as Transport;
  };
  const pool = connections(open, new Redactor());
  const [one, other] = await Promise.all([pool.get(HOST), pool.get(HOST)]);
  pool.drop(HOST, one);
  const next = await pool.get(HOST);
  pool.drop(HOST, other);
  expect(await pool.get(HOST)).toBe(next);
  expect([made, closed]).toEqual([2, [1]]);

  // One that is known to be gone is not given out: on the new one all is done that a new one needs.
  gone.push(2);
  const [third, same] = await Promise.all([pool.get(HOST), pool.get(HOST)]);
  expect([third === next, third === same, made]).toEqual([false, true, 3]);
});
