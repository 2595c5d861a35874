import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Problems } from '../../engine/core/error.ts';
import type { DrillbookError } from '../../engine/core/error.ts';
import { absoluteSpec, loadInventory, settingPlace } from '../../engine/parse/inventory.ts';
import type { Inventory } from '../../engine/parse/inventory.ts';
import { selectHosts } from '../../engine/plan/hosts.ts';
import { isFull } from '../_full.ts';
import { CASES } from './inventory-cases.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

type Files = Readonly<Record<string, string>>;

/** A folder with these files; those that begin with `#!` may be run. */
function folderWith(files: Files): string {
  const folder = mkdtempSync(join(tmpdir(), 'drillbook-inventory-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    if (text.startsWith('#!')) chmodSync(path, 0o755);
  }
  return folder;
}

function read(files: Files, given: readonly string[] = Object.keys(files).slice(0, 1)): Inventory {
  const folder = folderWith(files);
  return loadInventory(absoluteSpec(given.map((one) => join(folder, one))));
}

/** What is wrong with it, each as `file:line:column message (hint)`. */
function problemsOf(files: Files, given?: readonly string[]): string[] {
  try {
    read(files, given);
  } catch (error) {
    const all = error instanceof Problems ? error.problems : [error as DrillbookError];
    return all.map(({ at, message, hint }) => {
      const place = at
        ? `${at.file.replace(/^.*\/drillbook-inventory-\w+\//, '')}:${at.line}:${at.column}`
        : '';
      return `${place} ${message}${hint === undefined ? '' : ` (${hint})`}`.replaceAll(
        folders.at(-1) ?? '-',
        '',
      );
    });
  }
  return [];
}

describe('what is wrong is told with its place', () => {
  test.each<[string, Files, readonly (string | RegExp)[]]>([
    [
      'an INI file, all of it at once',
      {
        'hosts.ini':
          '[web]\nw1 port\nw2 x="1\n[web:chldren]\n[web:children]\nnone\n[wbe:vars]\nx=1\n[a b]\nn[3:1:0]\nm[1:\n',
      },
      [
        'hosts.ini:2:4 `port`: NAME=VALUE is wanted behind a host',
        /^hosts.ini:3:1 a quote \("\) is not closed/,
        'hosts.ini:4:1 [web:chldren]: unknown kind of section (did you mean `children`?)',
        'hosts.ini:9:1 `[a b]`: a section is written [group], [group:children] or [group:vars], without blanks',
        'hosts.ini:10:1 `n[3:1:0]`: NAME=VALUE is wanted in [wbe:vars]',
        'hosts.ini:11:1 `m[1:`: NAME=VALUE is wanted in [wbe:vars]',
        /^hosts.ini:6:1 \[web:children\] names the group `none`, which is nowhere declared/,
        'hosts.ini:7:1 [wbe:vars] names the group `wbe`, which is nowhere declared (did you mean `web`?)',
      ],
    ],
    [
      'ranges',
      { 'hosts.ini': 'a[1:3:0]\nb[1]\nc[01:3]\nd[c:a]\ne[1:\nf[1:]\ng[x1:x2]\nh[1:9999999]\ni:\n' },
      [
        'hosts.ini:1:1 [1:3:0]: the step is a whole number from 1',
        'hosts.ini:2:1 [1]: a range is written [begin:end] or [begin:end:step]',
        'hosts.ini:3:1 [01:3]: with leading zeros, begin and end have the same length',
        'hosts.ini:4:1 [c:a]: begin comes after end',
        'hosts.ini:5:1 `e[1:`: a range without its closing bracket',
        'hosts.ini:6:1 [1:]: a range needs an end',
        'hosts.ini:7:1 [x1:x2]: a range is of numbers, or of single letters',
        'hosts.ini:8:1 [1:9999999]: more than 20000 hosts (is there a digit too many?)',
        'hosts.ini:9:1 `i:`: a port is missing behind the colon',
      ],
    ],
    [
      'groups that contain one another',
      { 'hosts.ini': '[a:children]\nb\n[b:children]\na\n[c:children]\nc\n' },
      [/:4:1 group `b` contains itself/, /:6:1 group `c` contains itself/],
    ],
    [
      'a YAML file of Ansible’s',
      {
        'hosts.yml':
          'all:\n  hosts: { h1: 5, "n[1:": }\n  vas: { x: 1 }\n  children:\n    g: [h1]\n    k: { children: { all: } }\n',
      },
      [
        'hosts.yml:3:3 `vas`: unknown key of group `all` (did you mean `vars`?)',
        'hosts.yml:2:12 `h1`: the variables of the host are wanted, or nothing',
        'hosts.yml:2:19 `n[1:`: a range without its closing bracket',
        'hosts.yml:5:5 group `g`: a mapping with hosts, vars, children is wanted',
        'hosts.yml:6:5 group `all` contains itself',
      ],
    ],
    [
      'a plugin’s configuration',
      { 'hosts.yml': 'plugin: aws_ec2\nregions: [x]\n' },
      [/^hosts.yml:1:1 an inventory plugin of Ansible’s, which only Ansible can run \(give an executable/],
    ],
    ['no host', { 'hosts.yml': 'all: { children: { g: } }\n' }, [/^hosts.yml:1:1 .* has no host/]],
    [
      'a variables file that holds a list',
      { 'hosts.ini': 'h1\n', 'host_vars/h1.yml': '- 1\n' },
      ['host_vars/h1.yml:1:1 /host_vars/h1.yml: a mapping of names to values is wanted'],
    ],
    [
      'a variables file that is no YAML',
      { 'hosts.ini': '[g]\nh1\n', 'group_vars/g/main.yml': 'a: "b\n' },
      [/^group_vars\/g\/main.yml:/],
    ],
    [
      'variables of the connection',
      {
        'hosts.ini':
          'h1 ansible_port=many ansible_become=maybe ansible_become_method=runas\nh2 ansible_host="{{ nowhere }}" ansible_ssh_common_args="-o Foo -W x"\n',
      },
      [
        'hosts.ini:1:1 `ansible_port`: a whole number is wanted',
        'hosts.ini:1:1 `ansible_become_method`: runas is not known here (allowed: sudo, su, doas)',
        'hosts.ini:1:1 `ansible_become`: yes or no is wanted',
        'hosts.ini:2:1 `ansible_ssh_common_args`: -o Foo: NAME=VALUE is wanted',
        /^hosts.ini:2:1 .*nowhere/,
      ],
    ],
    [
      'clusters',
      {
        'hosts.ini':
          '[one]\nh1\n[two]\nh1\nh2\n[three]\nh2\nh3\n[all:vars]\ndrillbook_cluster={"stack": "dbackup"}\n',
        'group_vars/one.yml': 'drillbook_cluster: { stack: dbackup }\n',
        'group_vars/two.yml': 'drillbook_cluster: { stak: dbackup }\n',
        'group_vars/three.yml': 'drillbook_cluster: { stack: dbackup }\n',
      },
      [
        'hosts.ini:10:1 `drillbook_cluster` belongs to the group of the pair, whose name the cluster gets',
        'group_vars/one.yml:1:1 group `one` is a cluster of one node (two hosts make a pair)',
        /^group_vars\/two.yml:1:1 `stack`: missing/,
        /^group_vars\/two.yml:1:22 `stak`: unknown keyword \(did you mean `stack`\?\)/,
      ],
    ],
    [
      'a program that fails',
      { 'inv.sh': '#!/bin/sh\necho the reason >&2\nexit 3\n' },
      [
        /^inv.sh:1:1 .*inv.sh --list ended with exit code 3: the reason \(an executable inventory prints JSON/,
      ],
    ],
    [
      'a program that prints no JSON',
      { 'inv.sh': '#!/bin/sh\necho hosts:\n' },
      [/^inv.sh:1:1 .* --list printed no JSON: /],
    ],
    [
      'a program that prints something else',
      { 'inv.sh': '#!/bin/sh\necho \'{"g": {"hosts": {"a": 1}}, "k": {"hosts": ["b"], "vars": []}}\'\n' },
      [/--list printed: g.hosts: a list of names is wanted/, /--list printed: k.vars: a mapping is wanted/],
    ],
    [
      'a program whose interpreter is missing',
      { 'inv.sh': '#!/nowhere/python\n' },
      [/^inv.sh:1:1 .* cannot be run \(ENOENT\)/],
    ],
  ])('%s', (_name, files, wanted) => {
    const found = problemsOf(files);
    expect(found).toHaveLength(wanted.length);
    for (const [i, one] of wanted.entries()) {
      if (typeof one === 'string') expect(found[i]).toBe(one);
      else expect(found[i]).toMatch(one);
    }
  });

  test('a program that may not be run', () => {
    const folder = folderWith({ inventory: '#!/bin/sh\necho {}\n' });
    chmodSync(join(folder, 'inventory'), 0o644);
    expect(() => loadInventory(join(folder, 'inventory'))).toThrow('is a program that may not be run');
  });

  test('no line with a password is shown', () => {
    let shown: unknown;
    try {
      read({ 'hosts.ini': 'h1 ansible_password=hunter22 oops\n' });
    } catch (error) {
      shown = error;
    }
    const { problems } = shown as Problems;
    expect(problems[0]?.message).toContain('`oops`');
    expect(problems[0]?.excerpt).toBeUndefined();
  });

  test.runIf(isFull)('a program that does not end', { timeout: 120_000 }, () => {
    expect(problemsOf({ 'inv.sh': '#!/bin/sh\nsleep 600 & sleep 600\n' })[0]).toContain(
      'did not end within 60 s',
    );
  });
});

describe('how a host is reached', () => {
  const reached = (text: string, more: Files = {}): object => {
    const host = read({ 'hosts.ini': text, ...more }).hosts.get('h1');
    const { connection, become, becoming } = host ?? {};
    return Object.fromEntries(
      Object.entries({ ...connection, become, becoming }).filter(([, value]) => value !== undefined),
    );
  };

  test.each<[string, string, object]>([
    ['nothing said', 'h1', { transport: 'ssh' }],
    [
      'address, port, user and key',
      'h1 ansible_host=10.0.0.1 ansible_port=22 ansible_user=me ansible_ssh_private_key_file=~/.ssh/k ansible_timeout=7',
      {
        transport: 'ssh',
        address: '10.0.0.1',
        port: 22,
        user: 'me',
        identityFile: join(homedir(), '.ssh/k'),
        connectTimeoutMs: 7000,
      },
    ],
    [
      'the older names; of two the last one counts, as in Ansible',
      'h1 ansible_ssh_host=a ansible_user=one ansible_ssh_user=two ansible_ssh_port=5 ansible_ssh_pass=secret1',
      { transport: 'ssh', address: 'a', user: 'two', port: 5, password: 'secret1' },
    ],
    ['a password that is a number', 'h1 ansible_password=1234', { transport: 'ssh', password: '1234' }],
    ['local', 'h1 ansible_connection=local', { transport: 'local' }],
    [
      'another connection',
      'h1 ansible_connection=winrm',
      {
        transport: 'ssh',
        unusable: 'ansible_connection is `winrm`, and drillbook knows ssh and local alone',
      },
    ],
    [
      'options of ssh, in ssh’s order',
      `h1 ansible_ssh_args="-C -o ControlMaster=auto" ansible_ssh_common_args="-o ProxyCommand='ssh -W %h:%p -q gate' -J a,b" ansible_ssh_extra_args="-A -F /dev/null"`,
      {
        transport: 'ssh',
        sshConfig: '/dev/null',
        sshOptions: [
          ['ControlMaster', 'auto'],
          ['ProxyCommand', 'ssh -W %h:%p -q gate'],
          ['ProxyJump', 'a,b'],
          ['ForwardAgent', 'yes'],
        ],
      },
    ],
    [
      'host keys that are not to be checked are noted down when they are new',
      'h1 ansible_host_key_checking=False',
      { transport: 'ssh', sshOptions: [['StrictHostKeyChecking', 'no']] },
    ],
    [
      'become for every step',
      'h1 ansible_become=yes ansible_become_pass=secret2',
      {
        transport: 'ssh',
        become: { user: 'root', method: 'sudo', password: 'secret2' },
        becoming: { user: 'root', method: 'sudo', password: 'secret2' },
      },
    ],
    [
      'how, where only a step asks for it',
      'h1 ansible_become_user=dba ansible_become_method=su ansible_become_password=secret2',
      { transport: 'ssh', becoming: { user: 'dba', method: 'su', password: 'secret2' } },
    ],
    [
      'templates, which may use other variables',
      'h1 ansible_host="{{ net }}.{{ number }}" net="{{ base }}.0.0" base=10 number=7',
      { transport: 'ssh', address: '10.0.0.7' },
    ],
  ])('%s', (_name, text, wanted) => {
    expect(reached(`${text}\n`)).toEqual(wanted);
  });

  test('drillbook’s own connection goes over Ansible’s variables', () => {
    const files = {
      'hosts.ini': 'h1 ansible_host=a ansible_user=b\n',
      'more.yml':
        'hosts: { h1: { connection: { address: c, ssh_options: { ForwardAgent: true, Port: 5 } } } }\n',
    };
    expect(read(files, ['hosts.ini', 'more.yml']).hosts.get('h1')?.connection).toMatchObject({
      address: 'c',
      user: 'b',
      sshOptions: [
        ['ForwardAgent', 'yes'],
        ['Port', '5'],
      ],
    });
  });
});

describe('clusters beside Ansible’s inventory', () => {
  const PAIR = '[other]\nx1\n[dbk]\nn2\nn1\n';
  const CLUSTER = { name: 'dbk', stack: 'dbackup', nodes: ['n2', 'n1'] };

  test('a group whose own variables hold drillbook_cluster is one, its hosts in order the nodes', () => {
    const { clusters } = read({
      'hosts.ini': PAIR,
      'group_vars/dbk.yml': 'drillbook_cluster:\n  stack: dbackup\n  settings: { a: 1 }\n',
    });
    expect([...clusters.values()]).toEqual([{ ...CLUSTER, settings: { a: 1 } }]);
  });

  test('a file with `clusters:` alone may stand beside it', () => {
    const { clusters, groups } = read(
      {
        'hosts.ini': PAIR,
        'clusters.yml':
          'clusters: { dbk: { stack: dbackup, nodes: [n2, n1] } }\ngroups: { both: { groups: [dbk, other] } }\n',
      },
      ['hosts.ini', 'clusters.yml'],
    );
    expect([...clusters.values()]).toEqual([{ ...CLUSTER, settings: {} }]);
    expect(groups.get('both')).toEqual(['n2', 'n1', 'x1']);
  });

  test('and its hosts must be those of the other', () => {
    const files = {
      'hosts.ini': PAIR,
      'clusters.yml': 'clusters: { dbk: { stack: dbackup, nodes: [n1, n3] } }\n',
    };
    expect(problemsOf(files, ['hosts.ini', 'clusters.yml'])[0]).toMatch(
      /^clusters.yml:1:\d+ `n3`: unknown host/,
    );
  });
});

test('every place that sets a variable is known, the last one wins', () => {
  const { settings, hosts } = read({
    'hosts.ini': '[web]\nh1 v=host\n[web:vars]\nv=group\n[all:vars]\nv=all\n',
    'group_vars/all.yml': '# a note\nv: file of all\n',
    'host_vars/h1.yml': 'w: 1\n',
  });
  const found = settings.get('h1')?.get('v') ?? [];
  expect(
    found.map((setting) => {
      const { file, line } = settingPlace(setting, 'v');
      return `${setting.layer} ${file.split('/').at(-1) ?? ''}:${line} ${String(setting.value)}`;
    }),
  ).toEqual([
    'inventory hosts.ini:6 all',
    'group web hosts.ini:4 group',
    'inventory all.yml:2 file of all',
    'host h1 hosts.ini:2 host',
  ]);
  expect(hosts.get('h1')?.vars).toEqual({ v: 'host', w: 1 });
});

test('a pattern’s place beyond the end of its group is told, and so is a wrong expression', () => {
  const inventory = read({ 'hosts.ini': '[web]\nw[1:3]\n' });
  expect(() => selectHosts('web[3]', inventory)).toThrow(
    'there is no such place among 3 hosts, counted from 0',
  );
  expect(() => selectHosts('~w(', inventory)).toThrow('`~w(`: no regular expression');
  expect(() => selectHosts('wbe', inventory)).toThrow('no host, group, cluster or role of this name');
});

test('a thousand hosts with folders of variables are read in a moment', { timeout: 20_000 }, () => {
  const files = Object.fromEntries(
    Array.from({ length: 200 }, (_, i) => [`host_vars/n${i + 1}.yml`, `a: ${i}\nb: { c: [1, 2, 3] }\n`]),
  );
  const { hosts } = read({ 'hosts.ini': '[all:vars]\nx=1\n[g]\nn[1:1000]\n[g:vars]\ny=2\n', ...files });
  expect(hosts.size).toBe(1000);
  expect(hosts.get('n200')?.vars).toEqual({ x: 1, y: 2, a: 199, b: { c: [1, 2, 3] } });
});

/** Pieces that mean something in one of the formats. */
const PIECES = [
  ...[
    '[',
    ']',
    ':',
    '=',
    '"',
    "'",
    '\\',
    '#',
    '\n',
    '  ',
    '\t',
    '{',
    '}',
    '[1:',
    '[a:z:2]',
    '__proto__',
    'constructor',
  ],
  ...[
    '[999999999:9999999999]',
    '*x',
    '&x',
    '!!python/object:x',
    '!vault |',
    '{{',
    '}}',
    '{{ x | y }}',
    '\0',
    '%',
    'null',
  ],
  ...[
    '('.repeat(500),
    '['.repeat(500),
    '0x',
    '1e999',
    ':children]',
    ':vars]',
    'ansible_port=',
    '<<: ',
    '>',
    '- ',
    '? ',
  ],
];

test('whatever is broken in a file, the errors are of the file and have a place', { timeout: 60_000 }, () => {
  let seed = 4;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
    return seed % below;
  };
  const texts = Object.values(CASES).flatMap(({ files }) =>
    Object.values(files).filter((text) => !text.startsWith('#!')),
  );
  const folder = folderWith({});
  let refused = 0;
  for (let i = 0; i < (isFull ? 2000 : 200); i++) {
    let text = texts[random(texts.length)] ?? '';
    for (let k = 0; k <= random(4); k++) {
      const at = random(text.length + 1);
      text = text.slice(0, at) + (PIECES[random(PIECES.length)] ?? '') + text.slice(at + random(6));
    }
    const file = join(folder, `${i}${['', '.ini', '.yml'][i % 3] ?? ''}`);
    writeFileSync(file, text);
    try {
      loadInventory(file);
    } catch (error) {
      refused++;
      const all = error instanceof Problems ? error.problems : [error as DrillbookError];
      expect(all.filter(({ code, at }) => !/^(?:parse|plan)\./.test(code) || at === undefined)).toEqual([]);
    }
  }
  expect(refused).toBeGreaterThan(20);
});
