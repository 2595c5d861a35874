import { execFileSync, execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../engine/transports/_ssh-config.ts';
import { settingsOf } from '../../engine/transports/_ssh-settings.ts';
import { ensurePackages } from '../_apt.ts';

interface Case {
  readonly config: string;
  readonly host?: string;
  /** `-o` of the command line. */
  readonly options?: readonly (readonly [string, string])[];
}

/** DIR stands for a folder with the files of `PARTS`. */
const PARTS: Readonly<Record<string, string>> = {
  'a.conf': 'Host db1\n  Port 41\nHost *\n  User from-a\n',
  'b.conf': 'User from-b\nPort 42\nIdentityFile /from-b\n',
  'c.conf': 'Match host db1\n  ConnectTimeout 43\n',
  'deep.conf': 'Include DIR/a.conf\nPort 44\n',
};

const CASES: Readonly<Record<string, string | Case>> = {
  'the first value': 'Port 1\nPort 2\nHost db1\n  Port 3\n',
  'a block of another host': 'Host other\n  Port 1\n  User x\nHost db*\n  Port 2\n',
  'several patterns': 'Host a b db?\n  Port 5\n',
  'a negated pattern': 'Host * !db1\n  Port 5\nHost !db2 db*\n  User u\n',
  'only a negated pattern': 'Host !other\n  Port 5\n',
  'letters of another case': { config: 'HOST Db1\n  PORT 5\nHost db1\n  port 6\n', host: 'db1' },
  'equals signs and blanks': 'Port=5\nUser = me\n  HostName   =  10.0.0.1  \nConnectTimeout\t7\n',
  quotes: 'User "me"\nIdentityFile "/a b/c"\nIdentityFile \'/d e/f\'\nUserKnownHostsFile "/k 1" /k2\n',
  comments: '# one\n  # two\nPort 5 # three\nUser me#4\nIdentityFile "/a#b" # five\n',
  'quoted keyword and backslashes':
    'IdentityFile "/a\\\\b"\nIdentityFile /c\\"d\nUserKnownHostsFile /e\\ f\n',
  'identity files add up':
    'IdentityFile /one\nHost db1\n  IdentityFile /two\n  IdentityFile /one\nIdentityFile none\n',
  'certificates add up': 'CertificateFile /one\nHost db1\n  CertificateFile /two\n',
  'only identities named': 'IdentitiesOnly yes\nIdentityFile ~/.ssh/mine\n',
  'HostName with %h': 'HostName %h.example.com\n',
  'HostName with %%': 'HostName a%%b\n',
  'ProxyJump chain': 'ProxyJump a,me@b:22,ssh://c:2222\n',
  'ProxyJump before ProxyCommand': 'ProxyJump a\nProxyCommand nc %h %p\n',
  'ProxyCommand before ProxyJump': 'ProxyCommand nc -X 5 "x # y" %h %p  \nProxyJump a\n',
  'ProxyJump none': 'ProxyJump none\nProxyJump a\nProxyCommand x\n',
  'ProxyCommand none': 'ProxyCommand none\nProxyJump a\n',
  'Match all': 'Match all\n  Port 5\n',
  'Match host':
    'Match host db1\n  Port 5\nMatch host DB1\n  User u\nMatch host other,db*\n  ConnectTimeout 9\n',
  'Match host after HostName':
    'HostName real.example\nMatch host db1\n  Port 5\nMatch host real.*\n  Port 6\n',
  'Match originalhost after HostName': 'HostName real.example\nMatch originalhost db1\n  Port 5\n',
  'Match user':
    'Match user root\n  Port 5\nUser other\nMatch user other\n  ConnectTimeout 6\nMatch user root\n  Port 7\n',
  'Match localuser': 'Match localuser root\n  Port 5\nMatch localuser !root\n  Port 6\n',
  'Match negated': 'Match !host other\n  Port 5\nMatch host db* !user root\n  User x\n',
  'Match of several': 'Match host db1 user root\n  Port 5\nMatch host db1 user other\n  User x\n',
  'Match exec':
    'Match exec "test %h = db1"\n  Port 5\nMatch exec "test %n = other"\n  User x\nMatch !exec false\n  ConnectTimeout 3\n',
  'Match exec with %p and %r': 'Match exec "test %p-%r = 22-root"\n  User x\n',
  'Match final': 'HostName real.example\nMatch final host real.example\n  Port 5\n',
  'Match final sees what came first': 'Match final\n  Port 6\n  User late\nHost db1\n  Port 5\n',
  'Host in the final pass': 'Host db1\n  HostName real\nHost real\n  Port 9\nMatch final all\n  User u\n',
  'Match canonical': 'Match canonical\n  Port 6\nMatch all\n  Port 5\n',
  Include: 'Include DIR/a.conf\nPort 5\n',
  'Include of several': 'Include DIR/b.conf DIR/a.conf\n',
  'Include by a pattern, in order': 'Include DIR/?.conf\n',
  'Include of what is not there': 'Include DIR/none.conf DIR/x*.conf\nPort 5\n',
  'Include inside a block': 'Host other\n  Include DIR/b.conf\nHost db1\n  Include DIR/a.conf\n  User here\n',
  'a block ends with the file it is in': 'Include DIR/a.conf\nHost db1\n  Include DIR/c.conf\n  Port 5\n',
  'Include of Include': 'Include DIR/deep.conf\n',
  'known hosts':
    'UserKnownHostsFile ~/a /b\nGlobalKnownHostsFile /c /d\nHashKnownHosts yes\nHostKeyAlias alias\n',
  policies: 'StrictHostKeyChecking accept-new\n',
  'no policy': 'StrictHostKeyChecking no\nHost db1\n  StrictHostKeyChecking yes\n',
  times: 'ConnectTimeout 1m30s\nServerAliveInterval 2m\nServerAliveCountMax 5\n',
  agents: 'ForwardAgent yes\nIdentityAgent /run/agent\n',
  'an agent of the environment': 'IdentityAgent SSH_AUTH_SOCK\nForwardAgent no\n',
  'ways to log in':
    'PreferredAuthentications keyboard-interactive,password\nPasswordAuthentication no\nPubkeyAuthentication no\n',
  'the options of the command line': {
    config: 'Port 5\nUser me\nMatch user you\n  ConnectTimeout 8\n',
    options: [
      ['User', 'you'],
      ['Port', '6'],
      ['IdentityFile', '/mine'],
    ],
  },
  'a HostName of the command line': {
    config: 'HostName other\nMatch host 10.*\n  Port 5\n',
    options: [['HostName', '10.0.0.1']],
  },
  'a windows file': 'Host db1\r\n  Port 5\r\n  User me\r\n',
  'an address': { config: 'Host 10.0.*\n  Port 5\nHost 10.0.0.?\n  User u\n', host: '10.0.0.7' },
  nothing: '',
};

let directory: string;
beforeAll(async () => {
  await ensurePackages(['openssh-client']);
  directory = mkdtempSync(join(tmpdir(), 'drillbook-ssh-config-'));
  mkdirSync(join(directory, 'parts'));
  for (const [name, text] of Object.entries(PARTS))
    writeFileSync(join(directory, 'parts', name), placed(text));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const placed = (text: string): string => text.replaceAll('DIR', join(directory, 'parts'));

/** What ssh itself says, each keyword with its values. */
async function ofSsh(
  file: string,
  host: string,
  options: Case['options'] = [],
): Promise<Map<string, string[]>> {
  const words = options.flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const { stdout } = await promisify(execFile)('ssh', ['-F', file, ...words, '-G', host]);
  const found = new Map<string, string[]>();
  for (const line of stdout.trim().split('\n')) {
    const [key = '', ...rest] = line.split(' ');
    found.set(key, [...(found.get(key) ?? []), rest.join(' ')]);
  }
  return found;
}

const AS_SSH_SAYS: Readonly<Record<string, string>> = { true: 'yes', false: 'no', off: 'no' };
/** Where ssh says nothing of it, or its default. */
const KEYS: Readonly<Record<string, string | undefined>> = {
  hostname: undefined,
  user: 'root',
  port: '22',
  identityfile: undefined,
  certificatefile: undefined,
  identitiesonly: 'no',
  identityagent: undefined,
  forwardagent: 'no',
  proxyjump: undefined,
  proxycommand: undefined,
  hostkeyalias: undefined,
  userknownhostsfile: '~/.ssh/known_hosts ~/.ssh/known_hosts2',
  globalknownhostsfile: '/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2',
  hashknownhosts: 'no',
  stricthostkeychecking: 'ask',
  connecttimeout: 'none',
  serveraliveinterval: '0',
  serveralivecountmax: '3',
  preferredauthentications: undefined,
  passwordauthentication: 'yes',
  pubkeyauthentication: 'yes',
};

test.each(Object.entries(CASES))('as ssh reads it: %s', async (name, wanted) => {
  const { config, host = 'db1', options = [] } = typeof wanted === 'string' ? { config: wanted } : wanted;
  const file = join(directory, name.replaceAll(/\W/g, '-'));
  writeFileSync(file, placed(config));
  const theirs = await ofSsh(file, host, options);
  const values = readConfig([host], options, file);
  const settings = settingsOf([host], values);
  const home = execFileSync('sh', ['-c', 'echo ~']).toString().trim();
  const own = (key: string): string[] => {
    const found = values
      .get(key)
      ?.filter((one) => !key.startsWith('proxy') || one !== 'none')
      .map((one) => one.replace('ssh://', ''));
    if (key === 'hostname') return [settings.hostName ?? host];
    if (key === 'connecttimeout' && settings.connectTimeoutMs !== undefined)
      return [String(settings.connectTimeoutMs / 1000)];
    if (key === 'serveraliveinterval' && settings.aliveMs !== undefined)
      return [String(settings.aliveMs / 1000)];
    if (found === undefined) return KEYS[key] === undefined ? [] : [KEYS[key]];
    return key.endsWith('knownhostsfile') ? [found.join(' ')] : [...found];
  };
  for (const key of Object.keys(KEYS)) {
    const said = (theirs.get(key) ?? []).map(
      (value) => AS_SSH_SAYS[value] ?? value.replaceAll(`${home}/`, '~/'),
    );
    // Without one in the file ssh names its own six.
    const isDefault = key === 'identityfile' && !values.has(key);
    if (!isDefault) expect({ [key]: own(key) }).toEqual({ [key]: said });
  }
});
