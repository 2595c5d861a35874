import { readFileSync } from 'node:fs';
import { arch, cpus, hostname, totalmem } from 'node:os';
import { expect, test } from 'vitest';
import { parseFacts } from '../../engine/modules/_facts-parse.ts';
import { openBench, run } from './_context.ts';

test('says of this machine what Node says of it, in one exchange', async () => {
  const bench = await openBench();
  const gather = ['os', 'hardware', 'network', 'mounts', 'time', 'users', 'packages', 'services'];
  const { result } = await run(bench, 'facts', { gather });
  expect(bench.exchanges()).toBe(1);
  await bench.close();
  const facts = result['facts'];
  expect(facts).toMatchObject({
    os: { id: 'debian', family: 'debian' },
    arch: arch() === 'x64' ? 'x86_64' : expect.any(String),
    hostname: hostname(),
    cpu: { count: cpus().length },
    memory_bytes: totalmem(),
    package_manager: 'apt',
    boot_id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    interfaces: expect.arrayContaining([
      expect.objectContaining({ name: 'lo', mac: '00:00:00:00:00:00', mtu: 65536 }),
    ]),
    mounts: expect.arrayContaining([
      expect.objectContaining({ path: '/', size_bytes: expect.any(Number), free_bytes: expect.any(Number) }),
    ]),
    users: expect.arrayContaining([{ name: 'root', uid: 0, gid: 0, home: '/root', shell: '/bin/bash' }]),
    packages: { dpkg: expect.stringMatching(/^1\./) },
  });
  const { time } = facts as { time: { epoch: number } };
  expect(Math.abs(time.epoch - Date.now() / 1000)).toBeLessThan(60);
});

test('only what is asked for is read', async () => {
  const bench = await openBench();
  expect(
    Object.keys((await run(bench, 'facts', { gather: ['hardware'] })).result['facts'] as object),
  ).not.toContain('os');
  await bench.close();
});

test('addresses and routes are read as ip prints them', () => {
  const facts = parseFacts(
    'interface\teth0\taa:bb\t1500\tup\tvirtio_net\naddress\teth0\tinet\t10.0.0.1/24\naddress\teth0\tinet6\tfe80::1/64\nroute\tdefault via 10.0.0.254 dev eth0 src 10.0.0.1 metric 9\nmount\t/a\\040b\t/dev/x\text4\tro,relatime\nconstructor\tx\n',
  );
  expect(facts).toMatchObject({
    interfaces: [
      {
        name: 'eth0',
        model: 'virtio_net',
        addresses: [
          { address: '10.0.0.1', prefix: 24, family: 'ipv4' },
          { address: 'fe80::1', prefix: 64, family: 'ipv6' },
        ],
      },
    ],
    default_route: { gateway: '10.0.0.254', interface: 'eth0', source: '10.0.0.1' },
    mounts: [{ path: '/a b', is_read_only: true }],
  });
});
