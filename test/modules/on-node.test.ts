import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Host } from '../../engine/core/host.ts';
import type { Result } from '../../engine/core/module.ts';
import { Redactor } from '../../engine/core/secret.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { withServers } from '../../engine/modules/time-sync.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { check, openBench, reach, run } from './_context.ts';
import { live, liveOn, newAttempt } from './_taking.ts';
import type { Bench } from './_context.ts';
import { freshLab } from '../lab/_fresh.ts';
import { hostileOnNode, nodeSettings } from './_node-hostile.ts';
import type { Ask } from './_node-hostile.ts';
import { nodeKinds, truthOnNode } from './_node-truth.ts';

// One lab for all that needs a whole system: packages, services, the clock.
let lab: Lab | undefined;
let bench: Bench;
beforeAll(async () => {
  lab = await freshLab({ name: `test-modules`, database: 'mariadb', nodes: ['dbk1'] });
  const host: Host = {
    name: 'dbk1',
    groups: [],
    vars: {},
    connection: {
      transport: 'ssh',
      address: lab.nodes[0]?.address,
      user: 'root',
      identityFile: join(lab.dir, 'id_ed25519'),
      knownHosts: join(lab.dir, 'known_hosts'),
    },
  };
  bench = await openBench({ host, transport: openTransport(host, { redactor: new Redactor() }) });
  for (const version of ['1.0-1', '1.0-2', '2:0.5-1']) await deb('alpha', version);
  await deb('beta', '1', 'alpha (>= 1.0-2)');
  await deb('rival', '1', undefined, 'alpha');
  await writeFile(join(bench.dir, 'k.hbs'), 'global_defs {\n  router_id test\n}\n');
});
afterAll(async () => {
  await bench?.close();
  await lab?.down();
}, 60_000);

/** A package with a conffile, for `files`. */
async function deb(
  name: string,
  version: string,
  depends?: string,
  conflicts?: string,
  postinst?: string,
): Promise<void> {
  const root = join(bench.dir, `${name} ${version}`);
  await mkdir(join(root, 'DEBIAN'), { recursive: true });
  await mkdir(join(root, 'etc'), { recursive: true });
  await writeFile(join(root, 'etc', `${name}.conf`), `version ${version}\n`);
  await writeFile(join(root, 'DEBIAN', 'conffiles'), `/etc/${name}.conf\n`);
  const more = `${depends ? `Depends: ${depends}\n` : ''}${conflicts ? `Conflicts: ${conflicts}\n` : ''}`;
  await writeFile(
    join(root, 'DEBIAN', 'control'),
    `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n${more}`,
  );
  if (postinst !== undefined)
    await writeFile(join(root, 'DEBIAN', 'postinst'), `#!/bin/sh\n${postinst}\n`, { mode: 0o755 });
  const file = join(bench.dir, `${name}_${version.replace(':', '%3a')}_all.deb`);
  execFileSync('dpkg-deb', ['--build', '--root-owner-group', root, file], { stdio: 'ignore' });
}

const versionOf = async (name: string): Promise<string> =>
  (
    await bench.ctx.sh('dpkg-query -W -f \'${db:Status-Abbrev}${Version}\' "$1" 2>/dev/null', {
      args: [name],
    })
  ).stdout;

describe('package', () => {
  test('files by glob go in together, in the order they need, and nothing of them stays', async () => {
    const params = { files: ['alpha_1.0-2_*.deb', 'beta_*.deb'] };
    const { before, result } = await reach(bench, 'package', params);
    expect(before.changes).toEqual([
      { what: 'package alpha', before: 'absent', after: '1.0-2' },
      { what: 'package beta', before: 'absent', after: '1' },
    ]);
    expect(result).toEqual({
      manager: 'apt',
      packages: { alpha: { before: null, after: '1.0-2' }, beta: { before: null, after: '1' } },
    });
    expect(await versionOf('alpha')).toBe('ii 1.0-2');
    expect((await check(bench, 'package', params)).changes).toEqual([]);
    expect((await bench.ctx.sh('ls -d /var/tmp/drillbook* /tmp/drillbook*')).stdout).toBe('');
  });

  test('a look at what is installed is one exchange', async () => {
    const start = bench.exchanges();
    await check(bench, 'package', { name: ['alpha', 'beta', 'keepalived'] });
    expect(bench.exchanges() - start).toBe(1);
  });

  test('a downgrade is refused before anything is done, also in check mode; then allowed', async () => {
    await reach(bench, 'package', { name: 'beta', state: 'absent' });
    const params = { files: 'alpha_1.0-1_all.deb' };
    await expect(check(bench, 'package', params)).rejects.toMatchObject({
      message: 'this would be a downgrade: alpha 1.0-2 → 1.0-1',
      hint: 'allow_downgrade: true',
    });
    const { result } = await reach(bench, 'package', { ...params, allow_downgrade: true });
    expect(result['packages']).toEqual({ alpha: { before: '1.0-2', after: '1.0-1' } });
  });

  test('a conffile that was changed stays, and an epoch counts', async () => {
    await bench.ctx.sh('echo mine >/etc/alpha.conf');
    await reach(bench, 'package', { files: 'alpha_2%3a0.5-1_all.deb' });
    expect(await versionOf('alpha')).toBe('ii 2:0.5-1');
    expect((await bench.ctx.sh('cat /etc/alpha.conf')).stdout).toBe('mine\n');
  });

  test('another package is not removed for it unless that is allowed', async () => {
    await expect(reach(bench, 'package', { files: 'rival_1_all.deb' })).rejects.toMatchObject({
      message: expect.stringContaining('remove is disabled'),
      hint: 'allow_removal: true lets other packages go',
    });
    expect(await versionOf('alpha')).toBe('ii 2:0.5-1');
    await reach(bench, 'package', { files: 'rival_1_all.deb', allow_removal: true });
    expect(await versionOf('rival')).toBe('ii 1');
  });

  test('absent removes, purge takes the configuration too', async () => {
    await reach(bench, 'package', { name: ['rival', 'not-there'], state: 'absent', purge: true });
    expect((await bench.ctx.sh('ls /etc/rival.conf')).code).not.toBe(0);
    expect((await check(bench, 'package', { name: ['rival'], state: 'absent' })).changes).toEqual([]);
  });

  test('a version that is installed is as wanted; a prefix will do; another is not to be had', async () => {
    const installed = (await versionOf('keepalived')).replace(/^ii /, '');
    expect((await check(bench, 'package', { name: `keepalived=${installed}` })).changes).toEqual([]);
    expect((await check(bench, 'package', { name: 'keepalived=1:2*' })).changes).toEqual([]);
    await expect(check(bench, 'package', { name: 'keepalived', version: '9:99' })).rejects.toThrow(
      'have no version 9:99 of keepalived',
    );
  });

  test.each([
    [{ files: 'nothing-*.deb' }, 'no file on this machine matches'],
    [{ files: ['alpha_1.0-1_all.deb', 'alpha_1.0-2_all.deb'] }, 'two files of package alpha'],
    [{ name: 'a; id' }, 'is no name of a package'],
    [{ name: '-o' }, 'is no name of a package'],
    [{ name: ['a', 'b'], version: '1' }, '`version` goes with one name'],
  ])('%j is refused', async (params, why) => {
    await expect(check(bench, 'package', params)).rejects.toThrow(why);
  });

  test('a package that does not exist is told of before anything is done', async () => {
    await expect(check(bench, 'package', { name: 'no-such-package' })).rejects.toMatchObject({
      message: 'the repositories of dbk1 have no package no-such-package',
      hint: 'update_cache: true fetches their lists first',
    });
  });

  test('a dpkg that was cut off as by a power failure is mended by the next installation', async () => {
    const cut = '[ -e /root/was-cut ] || { touch /root/was-cut; kill -KILL $PPID; }';
    await deb('fragile', '1', undefined, undefined, cut);
    await expect(reach(bench, 'package', { files: 'fragile_1_all.deb' })).rejects.toThrow('apt failed');
    expect(await versionOf('fragile')).toMatch(/^i[FU] 1$/);
    const { before } = await reach(bench, 'package', { files: 'fragile_1_all.deb' });
    expect(before.changes).toHaveLength(1);
    expect(await versionOf('fragile')).toBe('ii 1');
    expect((await bench.ctx.sh('dpkg --audit')).stdout).toBe('');
  });
});

/** What counts itself in /root/NAME and stays under way while /root/hold is there. */
const lingering = (name: string): string =>
  `echo once >>/root/${name}; tries=0; while [ -e /root/hold ] && [ $tries -lt 200 ]; do sleep 0.1; tries=$((tries + 1)); done`;

/** Cuts a module off while it is under way, takes it up again, and gives back how often the node did it. */
async function takenUpAgain(name: string, module: string, params: Result, how: 'killed' | 'lost') {
  const count = async (): Promise<string> => (await bench.ctx.sh(`cat /root/${name}`)).stdout;
  const inventory = join(bench.dir, 'inventory.yml');
  const connection = {
    address: lab?.nodes[0]?.address,
    user: 'root',
    identity_file: join(lab?.dir ?? '', 'id_ed25519'),
    known_hosts: join(lab?.dir ?? '', 'known_hosts'),
  };
  await writeFile(inventory, JSON.stringify({ hosts: { dbk1: { connection } } }));
  await bench.ctx.sh(`rm -f /root/${name}; touch /root/hold`);
  const attempt = newAttempt();
  const begun = () => expect.poll(count, { timeout: 20_000 }).not.toBe('');
  // Before its job there is an exchange or more of looking, and of putting files there.
  for (let at = 1; attempt.lives === 0 || (await count()) === ''; at++) {
    await bench.ctx.sh('rm -rf /var/tmp/drillbook*');
    attempt.journal.clear();
    attempt.lives = 0;
    await live({ inventory, host: 'dbk1', begun }, module, params, attempt, { how, when: 'during', at });
  }
  const onExchange = () => bench.ctx.sh('rm -f /root/hold').then(() => undefined);
  const outcome = await liveOn({ inventory, host: 'dbk1', onExchange }, module, params, attempt);
  return { outcome, count: await count() };
}

describe.each(['killed', 'lost'] as const)('what is %s in mid-change is waited for', (how) => {
  test('package', async () => {
    await deb('slow', '1', undefined, undefined, lingering('slow'));
    await bench.ctx.sh('dpkg --purge slow');
    const params = { files: join(bench.dir, 'slow_1_all.deb') };
    const { outcome, count } = await takenUpAgain('slow', 'package', params, how);
    expect(outcome.result['packages']).toMatchObject({ slow: { after: '1' } });
    expect(count).toBe('once\n');
    // dpkg may have told of it before apt had come to its end.
    const left = async () => (await bench.ctx.sh('ls -d /var/tmp/drillbook*')).stdout;
    await expect.poll(left, { timeout: 20_000 }).toBe('');
  });

  test('service', async () => {
    const text = `[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh /root/lingering\n`;
    await bench.ctx.sh('cat >/etc/systemd/system/d-slow.service', { stdin: text });
    await bench.ctx.sh('cat >/root/lingering', { stdin: lingering('slow-service') });
    const params = { name: 'd-slow', state: 'restarted' };
    const { outcome, count } = await takenUpAgain('slow-service', 'service', params, how);
    expect(outcome.result).toMatchObject({ active: 'active' });
    expect(count).toBe('once\n');
  });
});

describe('service', () => {
  const unit = (name: string, text: string) =>
    bench.ctx.sh('cat >"/etc/systemd/system/$1.service"', { args: [name], stdin: text });

  test('is stopped, started, enabled and disabled, each once', async () => {
    for (const params of [
      { name: 'cron', state: 'stopped', enabled: false },
      { name: 'cron', state: 'started', enabled: true },
    ]) {
      const { before } = await reach(bench, 'service', params);
      expect(before.changes).toHaveLength(2);
      expect((await check(bench, 'service', params)).changes).toEqual([]);
    }
    expect((await bench.ctx.sh('systemctl is-active cron; systemctl is-enabled cron')).stdout).toBe(
      'active\nenabled\n',
    );
  });

  test('a new unit file is seen, a restart is a restart, always', async () => {
    await unit('d-test', '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n');
    const { result } = await reach(bench, 'service', { name: 'd-test', state: 'started', enabled: true });
    const again = await reach(bench, 'service', { name: 'd-test', state: 'restarted' });
    expect(again.before.changes).toEqual([{ what: 'service d-test', before: 'started', after: 'restarted' }]);
    expect(again.result['main_pid']).not.toBe(result['main_pid']);
  });

  test('an alias is the unit it stands for', async () => {
    await reach(bench, 'service', { name: 'mysql', state: 'started', enabled: true });
    await reach(bench, 'service', { name: 'mysql', enabled: false });
    expect((await bench.ctx.sh('systemctl is-enabled mariadb')).stdout).toBe('disabled\n');
    await reach(bench, 'service', { name: 'mariadb', enabled: true });
  });

  test('one that does not start says why, with the end of its log', async () => {
    await unit('d-bad', "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo port 3306 is taken; exit 4'\n");
    await expect(reach(bench, 'service', { name: 'd-bad', state: 'started' })).rejects.toMatchObject({
      message: expect.stringMatching(/^service d-bad did not get started \(exit-code\)/),
      result: { log: expect.arrayContaining(['port 3306 is taken']) },
    });
  });

  test('one that systemd does not start because of a condition is no success', async () => {
    await unit(
      'd-barred',
      '[Unit]\nConditionPathExists=/no/such\n[Service]\nExecStart=/bin/sleep infinity\n',
    );
    await expect(reach(bench, 'service', { name: 'd-barred', state: 'started' })).rejects.toThrow(
      'a condition of its unit is not met',
    );
  });

  test('one that runs to its end is done then', async () => {
    await unit('d-once', '[Service]\nType=oneshot\nExecStart=/bin/true\n');
    await reach(bench, 'service', { name: 'd-once', state: 'started' });
  });

  test('masked is refused to start, until unmasked', async () => {
    await bench.ctx.sh('systemctl stop cron');
    await reach(bench, 'service', { name: 'cron', masked: true });
    await expect(reach(bench, 'service', { name: 'cron', state: 'started' })).rejects.toThrow(
      'service cron is masked',
    );
    await reach(bench, 'service', { name: 'cron', masked: false, state: 'started' });
  });

  test('a script in /etc/init.d without a unit, put there while systemd ran', async () => {
    const script =
      '#!/bin/sh\n### BEGIN INIT INFO\n# Provides: d-script\n# Required-Start: $remote_fs\n# Required-Stop: $remote_fs\n# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\ncase $1 in start) touch /run/d-script;; stop) rm -f /run/d-script;; status) test -e /run/d-script || exit 3;; esac\n';
    await reach(bench, 'copy', { content: script, dest: '/etc/init.d/d-script', mode: '0755' });
    const wanted = { name: 'd-script', state: 'started', enabled: true };
    await reach(bench, 'service', wanted);
    expect((await bench.ctx.sh('ls /run/d-script /etc/rc3.d/S*d-script')).code).toBe(0);
    expect((await check(bench, 'service', wanted)).changes).toEqual([]);
    await reach(bench, 'service', { name: 'd-script', state: 'stopped', enabled: false });
    expect((await bench.ctx.sh('ls /run/d-script /etc/rc3.d/S*d-script')).stdout).toBe('');
  });

  test('one that is not there: stopped is fine, started cannot be', async () => {
    expect(
      (await check(bench, 'service', { name: 'not-there', state: 'stopped', enabled: false })).changes,
    ).toEqual([]);
    await expect(check(bench, 'service', { name: 'not-there', state: 'started' })).rejects.toThrow(
      'there is no service not-there',
    );
  });

  test.each(['a b', '-H', 'a/b', '$(id)'])('%j is no name', async (name) => {
    await expect(check(bench, 'service', { name })).rejects.toThrow('is no name of a service');
  });
});

describe('time_sync', () => {
  test('servers are set once, the old configuration kept', async () => {
    const params = { servers: ['10.9.9.9', 'ntp.example.com'], backup: true };
    const { before, result } = await reach(bench, 'time_sync', params);
    expect(before.changes.map((change) => change.what)).toContain('content of /etc/systemd/timesyncd.conf');
    expect((await bench.ctx.sh('grep ^NTP= /etc/systemd/timesyncd.conf')).stdout).toBe(
      'NTP=10.9.9.9 ntp.example.com\n',
    );
    expect(result).toMatchObject({
      provider: 'timesyncd',
      container: 'systemd-nspawn',
      synchronized: expect.any(Boolean),
    });
    expect((await bench.ctx.sh('ls "$1"', { args: [String(result['backup_file'])] })).code).toBe(0);
    expect((await check(bench, 'time_sync', params)).changes).toEqual([]);
  });

  test('a service that is not installed is named', async () => {
    await expect(check(bench, 'time_sync', { provider: 'chrony' })).rejects.toThrow(
      'chrony is not installed',
    );
  });

  test.each([
    ['timesyncd', '[Time]\n#NTP=\n#Fallback=x\n', '[Time]\nNTP=a b\n#Fallback=x\n'],
    ['timesyncd', '', '[Time]\nNTP=a b\n'],
    ['timesyncd', '[Time]\nNTP=x\nNTP=y\n', '[Time]\nNTP=a b\n'],
    ['chrony', '# c\npool x iburst\nserver y\nrtcsync\n', '# c\nserver a iburst\nserver b iburst\nrtcsync\n'],
    ['ntp', 'driftfile /d\n', 'driftfile /d\nserver a iburst\nserver b iburst\n'],
  ] as const)('%s: %j', (provider, before, after) => {
    expect(withServers(provider, before, ['a', 'b'])).toBe(after);
    expect(withServers(provider, after, ['a', 'b'])).toBe(after);
  });
});

truthOnNode(() => bench, nodeKinds);
const ask: Ask = async (query, params = []) =>
  (await run(bench, 'mysql.query', { query, params })).result['value'];
hostileOnNode(() => bench, nodeSettings(ask));

test('over SSH: facts of the node, a file of 2 MB, a port seen from the node, a dialogue', async () => {
  const { result } = await run(bench, 'facts', {});
  expect(result['facts']).toMatchObject({
    os: { id: 'debian' },
    init: 'systemd',
    virtualization: 'systemd-nspawn',
  });
  await reach(bench, 'copy', { content: 'x'.repeat(2_000_000), dest: '/root/big', mode: '0600' });
  expect((await run(bench, 'wait_for', { port: 22, timeout: '5s' })).failed).toBeUndefined();
  expect((await run(bench, 'wait_for', { port: 9, timeout: '200ms', interval: '50ms' })).failed).toContain(
    'port 9 of 127.0.0.1',
  );
  const asked = {
    cmd: 'printf "sure? "; read -r x; echo "said $x"',
    responses: [{ prompt: 'sure\\?', answer: 'yes' }],
  };
  expect((await run(bench, 'dialogue', asked)).result['output']).toContain('said yes');
});
