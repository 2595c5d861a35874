import { describe, expect, it } from 'vitest';
import { Redactor } from '../../engine/core/secret.ts';
import { openLocalWith } from '../../engine/transports/local.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { ensurePackages } from '../_apt.ts';
import { eventually, running, transportSuite, uniqueSleep } from './_suite.ts';

const host = { name: 'here', groups: [], vars: {}, connection: { transport: 'local' as const } };

for (const shell of ['sh', 'bash', 'busybox sh']) {
  transportSuite(`the local transport with ${shell}`, async () => {
    await ensurePackages(['busybox']);
    return { transport: openLocalWith(host, new Redactor(), shell), stop: () => Promise.resolve() };
  });
}

describe('the local transport', () => {
  it('leaves no process when it is closed', async () => {
    const transport = openTransport(host, { redactor: new Redactor() });
    const { stdout } = await transport.sh('echo $$');
    await transport.close();
    expect(() => process.kill(Number(stdout), 0)).toThrow('ESRCH');
  });

  it('kills what ignores the polite signal, too', async () => {
    const transport = openTransport(host, { redactor: new Redactor() });
    const duration = uniqueSleep();
    const stop = new AbortController();
    const failed = transport
      .sh(`trap '' TERM; sleep ${duration}; sleep ${duration}`, { signal: stop.signal })
      .catch((error: unknown) => error);
    await eventually(() => running(duration).length === 1);
    stop.abort();
    expect(await failed).toMatchObject({ code: 'step.timeout' });
    expect(running(duration)).toEqual([]);
    expect((await transport.sh('echo usable')).stdout).toBe('usable\n');
    await transport.close();
  }, 20_000);
});
