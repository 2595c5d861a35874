import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import { openPair } from '../cluster/_pair.ts';
import type { Pair } from '../cluster/_pair.ts';
import { freshLab } from '../lab/_fresh.ts';

// One lab for what changes a whole system: its users, passwords, mounts, and who trusts whom.
let lab: Lab;
let pair: Pair;
beforeAll(async () => {
  lab = await freshLab({ name: 'test-system', database: 'mariadb' });
  pair = openPair(lab.inventory);
}, 300_000);
afterAll(async () => {
  await pair?.close();
  await lab?.down();
}, 60_000);

const on = async (node: string, command: string, stdin?: string): Promise<string> => {
  const { code, stdout, stderr } = await lab.ssh(node, command, stdin === undefined ? {} : { stdin });
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
    await other.close();
  });
});
