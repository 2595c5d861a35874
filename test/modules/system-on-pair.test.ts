import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { openPair } from '../cluster/_pair.ts';
import type { Pair } from '../cluster/_pair.ts';
import { freshLab } from '../lab/_fresh.ts';
import { hostileOnNode } from './_node-hostile.ts';
import { benchOn, systemSettings } from './_pair-hostile.ts';

// One lab for what changes a whole system: its users, passwords, mounts, and who trusts whom.
let lab: Lab;
let pair: Pair;
beforeAll(async () => {
  lab = await freshLab({ name: 'test-system', database: 'mariadb' });
  pair = openPair(lab.inventory);
});
afterAll(async () => {
  await pair?.close();
  await lab?.down();
}, 60_000);

const on = async (node: string, command: string, stdin?: string): Promise<string> => {
  const { code, stdout, stderr } = await pair.ctx(node).sh(command, { stdin });
  if (code !== 0) throw new Error(`${command}: ${stdout}${stderr}`);
  return stdout.trim();
};

test('hosts_file: the nodes find each other by another name', async () => {
  const address = lab.nodes[1]?.addresses.net1 ?? '';
  await pair.reach('dbk1', 'hosts_file', { entries: { [address]: ['ha-node02', 'dbk2'] } });
  expect(
    await on('dbk1', 'getent hosts ha-node02 | cut -d" " -f1; getent ahostsv4 localhost | head -1'),
  ).toMatch(new RegExp(`^${RegExp.escape(address)}\n127\\.0\\.0\\.1 `));
});

describe('user_password', () => {
  const shadow = (user: string): Promise<string> => on('dbk1', `grep ^${user}: /etc/shadow | cut -d: -f2`);
  const before = async (user: string, password: string): Promise<unknown> =>
    (await pair.check('dbk1', 'user_password', { user, password })).changes.map((change) => change.before);
  const HARD = `p&#@'"$: \\\`x\` 备 %s`;

  beforeAll(async () => {
    await on('dbk1', 'useradd -m opal; useradd -r nobodys');
  });

  test('is set once, whatever is in it, and lets the user in', async () => {
    expect(await pair.reach('dbk1', 'user_password', { user: 'opal', password: HARD })).toEqual([
      { what: 'password of opal', before: 'none', after: 'the one given' },
    ]);
    const kept = await shadow('opal');
    expect(kept).toMatch(/^\$y\$/);
    expect(await pair.reach('dbk1', 'user_password', { user: 'opal', password: HARD })).toEqual([]);
    expect(await shadow('opal')).toBe(kept);
    const { ctx } = pair;
    const said = await ctx('dbk1').sh('su -s /bin/sh nobodys -c "su opal -c id"', { stdin: `${HARD}\n` });
    expect(said.stdout).toContain('(opal)');
  });

  test('another one is seen, and a locked one', async () => {
    expect(await before('opal', `${HARD}x`)).toEqual(['another']);
    await on('dbk1', 'usermod -L opal');
    expect(await before('opal', HARD)).toEqual(['locked']);
    await pair.reach('dbk1', 'user_password', { user: 'opal', password: HARD });
  });

  const FOLDER = '/root/tools';
  const hide = (names: string): Promise<string> =>
    on(
      'dbk1',
      `rm -rf ${FOLDER}; mkdir ${FOLDER}; for name in cat getent ${names}; do ln -s "$(command -v $name)" ${FOLDER}/; done`,
    );
  const told = async (user: string, password: string): Promise<unknown> => {
    const { ctx } = pair;
    const plain = ctx('dbk1');
    const { default: module } = await import('../../engine/modules/user-password.ts');
    const bound = {
      ...plain,
      sh: ((script, options) => plain.sh(script, { ...options, env: { PATH: FOLDER } })) as typeof plain.sh,
    };
    return (await module.check(bound, { user, password })).changes.map((change) => change.before);
  };

  test.each([
    ['perl', 'perl', 'YESCRYPT'],
    ['python3', 'python3', 'YESCRYPT'],
    ['openssl', 'openssl', 'SHA512'],
    ['openssl', 'openssl', 'SHA256 -s 7000'],
    ['openssl', 'openssl', 'MD5'],
    ['unix_chkpwd', '', 'YESCRYPT'],
  ])('%s alone can tell (%s, %s)', async (_, tool, method) => {
    await hide(tool);
    await on('dbk1', `chpasswd -c ${method} <<'END'\nopal:${HARD}\nEND`);
    const isLast = tool === '';
    // Where another tool could tell too, it must not have been that one.
    if (!isLast) await on('dbk1', 'mv /usr/sbin/unix_chkpwd /usr/sbin/hidden');
    try {
      expect(await told('opal', HARD)).toEqual([]);
      expect(await told('opal', `${HARD}x`)).toEqual(['another']);
    } finally {
      if (!isLast) await on('dbk1', 'mv /usr/sbin/hidden /usr/sbin/unix_chkpwd');
    }
  });

  test('where nothing can tell it is no guess', async () => {
    await hide('');
    await on('dbk1', 'mv /usr/sbin/unix_chkpwd /usr/sbin/hidden');
    await expect(told('opal', HARD)).rejects.toThrow('cannot be told on dbk1');
    await on('dbk1', 'mv /usr/sbin/hidden /usr/sbin/unix_chkpwd');
  });

  test('neither the password nor its hash is in any argument or environment meanwhile', async () => {
    const word = 'Kn0wn-t0-n0b0dy';
    await on('dbk1', 'cat >/root/patterns', `${word}\n$y$j9T$\nis-watching\n`);
    const watch = `while [ -e /root/watch ]; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; done | tr '\\0' '\\n' | grep -aFf /root/patterns | sort -u >/root/seen; touch /root/watched`;
    await on('dbk1', 'touch /root/watch; cat >/root/watch.sh', watch);
    await on('dbk1', 'SEEN=is-watching setsid sh /root/watch.sh >/dev/null 2>&1 &');
    for (let i = 0; i < 3; i++) {
      await pair.reach('dbk1', 'user_password', { user: 'opal', password: `${word}${i}` });
      await before('opal', `${word}x`);
    }
    await on('dbk1', 'rm /root/watch');
    await expect.poll(() => on('dbk1', 'ls /root/watched || true'), { timeout: 20_000 }).not.toBe('');
    const seen = (await on('dbk1', 'cat /root/seen')).split('\n');
    expect(seen).toContain('SEEN=is-watching');
    expect(seen.filter((line) => !line.includes('is-watching'))).toEqual([]);
    const left = `rm /root/patterns; grep -rlaF ${word} /var/lib/drillbook /var/tmp /tmp /root /run /var/log 2>/dev/null; true`;
    expect(await on('dbk1', left)).toBe('');
  });

  test.each([
    ['nobody-such', 'dbk1 has no user nobody-such'],
    ['a:b', 'must be a name'],
    ['-x', 'must be a name'],
  ])('%s is refused', async (user, why) => {
    await expect(pair.check('dbk1', 'user_password', { user, password: 'x' })).rejects.toThrow(why);
  });

  test('who may not read what is kept of passwords is told so', async () => {
    await on(
      'dbk1',
      `install -d -m 700 -o opal /home/opal/.ssh && install -o opal -m 600 /root/.ssh/authorized_keys /home/opal/.ssh/`,
    );
    const other = openPair(lab.inventory, { user: 'opal' });
    await expect(other.check('dbk1', 'user_password', { user: 'root', password: 'x' })).rejects.toMatchObject(
      {
        message: 'cannot read /etc/shadow of dbk1',
        hint: 'become: true',
      },
    );
    await expect(other.check('dbk1', 'ssh_trust', {})).rejects.toThrow('only root may do this on dbk1');
    await other.close();
  });
});

describe('mount', () => {
  const at = '/srv/m';
  const fstab = (): Promise<string> => on('dbk1', 'cat /etc/fstab');
  const mounted = (path = at): Promise<string> =>
    on('dbk1', `findmnt -n -r -o SOURCE,FSTYPE,OPTIONS ${path} || true`);
  const tmpfs = { path: at, src: 'tmpfs', fstype: 'tmpfs' };
  const reach = (params: Record<string, unknown>) => pair.reach('dbk1', 'mount', params);
  const check = (params: Record<string, unknown>) => pair.check('dbk1', 'mount', params);
  const HEAD = '# the fstab\nproc\t/proc  proc defaults 0 0\n';
  const reset = (): Promise<string> =>
    on(
      'dbk1',
      `umount -q ${at} ${at}; rm -rf ${at}; printf '# the fstab\\nproc\\t/proc  proc defaults 0 0\\n' >/etc/fstab`,
    );

  test('mounted: the directory is made, fstab has its line, a boot would do the same; all else of fstab stays', async () => {
    await reset();
    const changes = await reach({ ...tmpfs, opts: 'size=1m,nodev', state: 'mounted', passno: 2 });
    expect(changes.map(({ what }) => what)).toEqual([at, `mount at ${at}`, 'content of /etc/fstab']);
    expect(await mounted()).toMatch(/^tmpfs tmpfs rw,nodev,relatime,size=1024k/);
    expect(await fstab()).toBe(`${HEAD}tmpfs ${at} tmpfs size=1m,nodev 0 2`);
    await on('dbk1', `umount ${at} && mount ${at}`);
    expect((await check({ ...tmpfs, opts: 'size=1m,nodev', state: 'mounted', passno: '2' })).changes).toEqual(
      [],
    );
  });

  test('other options are put into force', async () => {
    const opts = 'size=1m,ro,noexec,dev';
    const changes = await reach({ ...tmpfs, opts, state: 'mounted' });
    expect(changes.map(({ what }) => what)).toEqual([`options of ${at}`, 'content of /etc/fstab']);
    expect(await mounted()).toMatch(/^tmpfs tmpfs ro,noexec,relatime,size=1024k/);
  });

  test('unmounted: now, fstab stays; absent: not there either, the directory stays', async () => {
    await on('dbk1', `mount -t tmpfs second ${at}`);
    expect(await reach({ path: at, state: 'unmounted' })).toHaveLength(2);
    expect(await mounted()).toBe('');
    expect(await fstab()).toContain(` ${at} `);
    await on('dbk1', `mount ${at}`);
    expect(await reach({ path: `${at}/`, state: 'absent' })).toHaveLength(2);
    expect([await mounted(), await fstab(), await on('dbk1', `ls -d ${at}`)]).toEqual(['', HEAD.trim(), at]);
  });

  test('present and ephemeral: one of both', async () => {
    await reset();
    await reach({ ...tmpfs, state: 'present', boot: false, backup: true });
    expect([await mounted(), await fstab()]).toEqual(['', `${HEAD}tmpfs ${at} tmpfs defaults,noauto 0 0`]);
    expect(await on('dbk1', 'cat /etc/fstab.*~; rm /etc/fstab.*~')).toBe(HEAD.trim());
    await reset();
    await reach({ ...tmpfs, state: 'ephemeral' });
    expect([(await mounted()).slice(0, 11), await fstab()]).toEqual(['tmpfs tmpfs', HEAD.trim()]);
  });

  test('a bind mount, at a path with blanks', async () => {
    const path = '/srv/a b\tc';
    const params = { path, src: '/etc/apt', fstype: 'none', opts: 'bind,ro', state: 'mounted' };
    await reach(params);
    expect(await on('dbk1', `ls '/srv/a b\tc/sources.list.d' && ! touch '/srv/a b\tc/x' 2>&1`)).toContain(
      'Read-only',
    );
    expect(await fstab()).toContain('/etc/apt /srv/a\\040b\\011c none bind,ro 0 0');
    await expect(check({ ...params, src: '/etc/cron.d' })).rejects.toThrow('has something else mounted');
    await reach({ path, state: 'absent' });
  });

  test('a directory that holds something is not mounted over unless that is wanted', async () => {
    await reset();
    await on('dbk1', `mkdir -p ${at} && touch ${at}/.a ${at}/b`);
    const params = { ...tmpfs, state: 'mounted' };
    await expect(check(params)).rejects.toMatchObject({
      message: `${at} is not empty: it holds .a and more, which could not be seen any more`,
      hint: expect.stringContaining('hide_content: true'),
    });
    await expect(reach(params)).rejects.toThrow('is not empty');
    expect([await mounted(), await fstab()]).toEqual(['', HEAD.trim()]);
    await reach({ ...params, hide_content: true });
    expect(await on('dbk1', `ls -A ${at}; umount ${at}; ls -A ${at}`)).toBe('.a\nb');
  });

  test.each<[string, string, Record<string, unknown>, string]>([
    [
      'something else there',
      `mkdir -p ${at}; mount -t tmpfs other ${at}`,
      { ...tmpfs, state: 'ephemeral' },
      'has something else mounted: other (tmpfs)',
    ],
    ['a file there', `touch ${at}`, { ...tmpfs, state: 'mounted' }, 'is no directory'],
    [
      'no such device',
      ':',
      { ...tmpfs, src: 'UUID=1-2', fstype: 'ext4', state: 'mounted' },
      'there is no device UUID=1-2',
    ],
    [
      'a mount below',
      `mkdir -p ${at}; mount -t tmpfs x ${at}; mkdir ${at}/y; mount -t tmpfs y ${at}/y`,
      { path: at, state: 'unmounted' },
      `${at}/y is mounted below`,
    ],
    [
      'two lines',
      `umount ${at}/y; printf 'x ${at} xfs\\ny ${at} xfs\\n' >>/etc/fstab`,
      { ...tmpfs, state: 'present' },
      '2 lines of the fstab speak of',
    ],
    ['no source', ':', { path: at, state: 'mounted' }, 'wants `src` and `fstype`'],
    ['the root', ':', { path: '/', state: 'absent' }, '/ can only be `present`'],
  ])('%s is refused, and nothing done', async (_, before, params, why) => {
    await reset();
    await on('dbk1', before);
    const [tab, now] = [await fstab(), await mounted()];
    await expect(check(params)).rejects.toThrow(why);
    await expect(reach(params)).rejects.toThrow(why);
    expect([await fstab(), await mounted()]).toEqual([tab, now]);
  });

  test('what cannot be mounted leaves no line in fstab; what is busy keeps its own', async () => {
    await reset();
    await expect(reach({ ...tmpfs, fstype: 'nosuch', state: 'mounted' })).rejects.toThrow(
      `tmpfs was not mounted at ${at}: `,
    );
    expect(await fstab()).toBe(HEAD.trim());
    await reach({ ...tmpfs, state: 'mounted' });
    const tab = await fstab();
    await on('dbk1', `cd ${at}; setsid sleep 60 >/dev/null 2>&1 </dev/null &`);
    const inside = () => on('dbk1', `readlink /proc/*/cwd | grep -x ${at} || true`);
    await expect.poll(inside, { timeout: 30_000 }).toBe(at);
    await expect(reach({ path: at, state: 'absent' })).rejects.toThrow('busy');
    expect(await fstab()).toBe(tab);
    await on('dbk1', 'pkill -x sleep; while pgrep -x sleep >/dev/null; do :; done');
    await reset();
  });
});

describe('ssh_trust', () => {
  const both = ['dbk1', 'dbk2'];
  const names = (): Record<string, string[]> =>
    Object.fromEntries(lab.nodes.map(({ name, addresses }) => [name, [name, addresses.net1]]));
  const told = async (node: string, params = {}): Promise<string[]> =>
    (await pair.check(node, 'ssh_trust', { names: names(), ...params })).changes.map(
      ({ what, before }) => `${what}: ${before}`,
    );
  const reach = (node: string, params = {}) => pair.reach(node, 'ssh_trust', { names: names(), ...params });
  const login = (from: string, to: string, user = 'root'): Promise<string> =>
    on(from, `runuser -u ${user} -- ssh -n -o BatchMode=yes ${to} hostname </dev/null`);

  test('both at a time, from nothing: check tells it all and touches nothing, then root gets in both ways', async () => {
    const files = () =>
      Promise.all(both.map((node) => on(node, 'tail -n +1 /root/.ssh/*; ls -la /root/.ssh')));
    const before = await files();
    const address = lab.nodes[1]?.addresses.net1;
    expect(await told('dbk1')).toEqual([
      'key of root on dbk1: absent',
      'key of root@dbk1 for root on dbk2: absent',
      'host keys of dbk2 for root on dbk1: none',
      `host keys of ${address} for root on dbk1: none`,
    ]);
    expect(await files()).toEqual(before);
    await Promise.all(both.map((node) => reach(node)));
    expect([
      await login('dbk1', 'dbk2'),
      await login('dbk2', 'dbk1'),
      await login('dbk1', String(address)),
    ]).toEqual(['dbk2', 'dbk1', 'dbk2']);
    expect(
      await on(
        'dbk1',
        'stat -c %a /root/.ssh/id_ed25519 /root/.ssh/known_hosts; wc -l </root/.ssh/authorized_keys',
      ),
    ).toBe('600\n600\n2');
    const after = await files();
    await Promise.all(both.map((node) => reach(node)));
    expect(await files()).toEqual(after);
  });

  test('a node that was installed anew: its key and its host keys replace those of before', async () => {
    await on(
      'dbk2',
      'rm -r /root/.ssh/id_* /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh',
    );
    await on(
      'dbk1',
      'ssh-keygen -q -H -f /root/.ssh/known_hosts 2>/dev/null; printf "# mine\\n*.example.com ssh-rsa AAAA" >>/root/.ssh/known_hosts',
    );
    expect(await told('dbk1')).toEqual([
      'host keys of dbk2 for root on dbk1: another',
      `host keys of ${lab.nodes[1]?.addresses.net1} for root on dbk1: another`,
    ]);
    await Promise.all(both.map((node) => reach(node)));
    expect([await login('dbk1', 'dbk2'), await login('dbk2', 'dbk1')]).toEqual(['dbk2', 'dbk1']);
    expect(await on('dbk1', 'grep -c -e "^# mine" -e "^\\*.example" /root/.ssh/known_hosts')).toBe('2');
  });

  test('the files of another user are his own', async () => {
    await Promise.all(
      both.map((node) =>
        on(
          node,
          'useradd -m pearl; printf "no newline" | install -o pearl -m 600 -D /dev/stdin /home/pearl/.ssh/authorized_keys; chown pearl /home/pearl/.ssh',
        ),
      ),
    );
    await Promise.all(both.map((node) => reach(node, { user: 'pearl' })));
    expect(await login('dbk2', 'dbk1', 'pearl')).toBe('dbk1');
    expect(
      await on('dbk1', 'find /home/pearl -not -user pearl; head -n 1 /home/pearl/.ssh/authorized_keys'),
    ).toBe('no newline');
  });

  test('a link that another user has laid leads root nowhere', async () => {
    await on(
      'dbk2',
      'rm -r /home/pearl/.ssh/authorized_keys; ln -s /etc/shadow /home/pearl/.ssh/authorized_keys',
    );
    const before = await on('dbk2', 'sha256sum /etc/shadow');
    await expect(reach('dbk1', { user: 'pearl' })).rejects.toThrow('was not authorized on dbk2');
    expect(await on('dbk2', 'sha256sum /etc/shadow')).toBe(before);
  });

  test('where all is in place and the door stays shut, that is told, also in check mode', async () => {
    await on(
      'dbk2',
      'echo "DenyUsers root@10.*.*.11" >/etc/ssh/sshd_config.d/deny.conf; systemctl restart ssh',
    );
    await expect(told('dbk1')).rejects.toMatchObject({
      message: expect.stringMatching(/^root on dbk1 cannot log in at dbk2: .*Permission denied/),
    });
    await on('dbk2', 'rm /etc/ssh/sshd_config.d/deny.conf; systemctl restart ssh');
    expect(await told('dbk1')).toEqual([]);
  });

  test.each<[string, string, Record<string, unknown>, string]>([
    ['a slip of a name', ':', { names: { dbk22: ['x'] } }, 'dbk22'],
    [
      'a key with a passphrase',
      'ssh-keygen -q -p -N secret -P "" -f /root/.ssh/id_ed25519',
      {},
      'cannot be used without asking',
    ],
    ['a user who is not there', ':', { user: 'nobody-such' }, 'dbk1 has no user nobody-such'],
    ['no peer', ':', { hosts: [] }, '>=1'],
  ])('%s is refused', async (_, before, params, why) => {
    await on('dbk1', before);
    await expect(reach('dbk1', params)).rejects.toThrow(why);
  });
});

describe('group and user', () => {
  const reach = (module: string, params: Record<string, unknown>) => pair.reach('dbk1', module, params);
  const entry = (name: string): Promise<string> => on('dbk1', `getent passwd ${name}; id -Gn ${name}`);

  test('a group is made, gets another number, and goes', async () => {
    expect(await reach('group', { name: 'ops', gid: 1300 })).toHaveLength(1);
    expect(await reach('group', { name: 'ops', gid: 1301 })).toEqual([
      { what: 'gid of group ops', before: '1300', after: '1301' },
    ]);
    expect(await on('dbk1', 'getent group ops')).toBe('ops:x:1301:');
    await reach('group', { name: 'ops', state: 'absent' });
    await reach('group', { name: 'daemons', system: true });
    expect(Number(await on('dbk1', 'getent group daemons | cut -d: -f3'))).toBeLessThan(1000);
  });

  test('a user is made as it is wanted, and then what differs is changed and nothing else', async () => {
    for (const name of ['one', 'two']) await reach('group', { name });
    const wanted = {
      name: 'ruby',
      uid: 1400,
      group: 'two',
      shell: '/bin/sh',
      home: '/srv/ruby',
      comment: `R. O'By & "x"`,
    };
    await reach('user', { ...wanted, groups: 'one, adm' });
    expect(await entry('ruby')).toMatch(
      /^ruby:x:1400:\d+:R\. O'By & "x":\/srv\/ruby:\/bin\/sh\ntwo adm one$/,
    );
    expect(await on('dbk1', 'stat -c %U /srv/ruby')).toBe('ruby');
    expect(await reach('user', { name: 'ruby', groups: ['audio'], append: true })).toEqual([
      { what: 'groups of user ruby', before: 'adm,one', after: 'adm,audio,one' },
    ]);
    expect(await reach('user', { name: 'ruby', groups: [] })).toHaveLength(1);
    const changes = await reach('user', {
      name: 'ruby',
      uid: 1401,
      shell: '/bin/bash',
      home: '/srv/r2',
      move_home: true,
    });
    expect(changes.map(({ what }) => what)).toEqual([
      'uid of user ruby',
      'shell of user ruby',
      'home of user ruby',
    ]);
    expect(await entry('ruby')).toMatch(/^ruby:x:1401:\d+:R\. O'By & "x":\/srv\/r2:\/bin\/bash\ntwo$/);
    expect(await on('dbk1', 'stat -c %u /srv/r2; ls -d /srv/ruby 2>&1 || true')).toMatch(/^1401\nls: /);
  });

  test('a user of the name of a group gets that group; absent leaves the home, unless that goes too', async () => {
    await reach('user', { name: 'one', create_home: true });
    expect(await on('dbk1', 'id -gn one')).toBe('one');
    await reach('user', { name: 'one', state: 'absent' });
    expect(await on('dbk1', 'ls -d /home/one')).toBe('/home/one');
    await reach('user', { name: 'ruby', state: 'absent', remove: true });
    expect(await on('dbk1', 'ls -d /srv/r2 2>&1 || true')).toContain('No such file');
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['user', { name: 'ruby', uid: 1 }, 'uid 1 of dbk1 belongs to user daemon'],
    ['user', { name: 'ruby', group: 'no-such' }, 'dbk1 has no group no-such'],
    ['user', { name: 'ruby', groups: 'adm,no-such' }, 'dbk1 has no group no-such'],
    ['user', { name: 'root', state: 'absent' }, 'root stays'],
    ['user', { name: 'toor', state: 'absent' }, 'is root by another name'],
    ['user', { name: 'ruby', comment: 'a:b' }, 'without a colon'],
    ['user', { name: 'ruby', remove: true }, 'goes with `state: absent`'],
    ['group', { name: 'ops', gid: 1 }, 'gid 1 of dbk1 belongs to group daemon'],
    ['group', { name: 'root', state: 'absent' }, 'is the primary group of user root'],
  ])('%s %j is refused', async (module, params, why) => {
    await on('dbk1', 'id toor >/dev/null 2>&1 || useradd -o -u 0 toor');
    const before = await on('dbk1', 'cat /etc/passwd /etc/group');
    await expect(reach(module, params)).rejects.toThrow(why);
    expect(await on('dbk1', 'cat /etc/passwd /etc/group')).toBe(before);
  });
});

hostileOnNode(() => benchOn(pair, 'dbk1'), systemSettings);
