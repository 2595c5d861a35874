import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { absoluteSpec, loadInventory } from '../../engine/parse/inventory.ts';
import { selectHosts } from '../../engine/plan/hosts.ts';
import { ensurePackages } from '../_apt.ts';
import { CASES } from './inventory-cases.ts';
import type { Case } from './inventory-cases.ts';

/** What an inventory says, in the shape of `ansible-inventory --list`. */
interface Listed {
  readonly hosts: Readonly<Record<string, unknown>>;
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly patterns: Readonly<Record<string, readonly string[]>>;
}

/** The inventory on which patterns are tried. */
const OF_PATTERNS = 'patterns';
const PATTERNS = [
  ...[
    'all',
    '*',
    'web',
    'w1',
    'web:db',
    'web,db',
    'web:&dc',
    'web:!w2',
    '!web',
    '&web',
    'all:!web:!db',
    'dc:&web:!w1',
  ],
  ...[
    'w*',
    '*.example.com',
    'w?',
    'w[12]*',
    'w[!1]',
    '[wd]*',
    'd*:!d1',
    'we*',
    'ungrouped',
    'all:!ungrouped',
  ],
  ...[
    '~w[0-9]',
    '~(w|d)1',
    '~.*example',
    'web[0]',
    'web[1]',
    'web[-1]',
    'web[0:1]',
    'web[1:]',
    'web[0-1]',
    'all[2:4]',
  ],
  ...['w1:w2', 'w1, d1', 'fe80::1', 'fe80::1,w1', 'w*[0]', 'dc[1:]:&db'],
];

let root: string;
const theirs = new Map<string, Listed>();

const folderOf = (name: string): string => join(root, String(Object.keys(CASES).indexOf(name)));

function write(name: string, { files, programs = [] }: Case): void {
  for (const [file, text] of Object.entries(files)) {
    const path = join(folderOf(name), file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  for (const program of programs) chmodSync(join(folderOf(name), program), 0o755);
}

/** Python that reads many inventories in one process by Ansible's own parts, as ansible-inventory does. */
const BATCH = `
import json, os, sys
from ansible.parsing.dataloader import DataLoader
from ansible.inventory.manager import InventoryManager
from ansible.vars.manager import VariableManager
from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.cli.inventory import INTERNAL_VARS
from ansible import context
from ansible.utils.display import Display
def one(case):
    os.chdir(case['folder'])
    context.CLIARGS = {'basedir': case.get('basedir')}
    loader = DataLoader()
    if case.get('basedir'): loader.set_basedir(case['basedir'])
    inventory = InventoryManager(loader=loader, sources=case['given'])
    manager = VariableManager(loader=loader, inventory=inventory, version_info={})
    hosts = {}
    for host in inventory.get_hosts():
        vars = manager.get_vars(host=host, include_hostvars=False, stage='all')
        hosts[host.name] = {k: v for k, v in vars.items() if k not in INTERNAL_VARS}
    groups = {name: [h.name for h in group.get_hosts()] for name, group in inventory.groups.items()}
    patterns = {p: [h.name for h in inventory.get_hosts(p)] for p in case.get('patterns', [])}
    return {'hosts': hosts, 'groups': groups, 'patterns': patterns}
out = {}
for name, case in json.load(sys.stdin).items():
    try: out[name] = one(case)
    except Exception as e: out[name] = {'error': repr(e)}
print('\\x01' + json.dumps(out, cls=AnsibleJSONEncoder))
`;

async function askAnsible(): Promise<void> {
  const cases = Object.fromEntries(
    Object.entries(CASES).map(([name, { files, given, playbookFolder }]) => [
      name,
      {
        patterns: name === OF_PATTERNS ? PATTERNS : [],
        folder: folderOf(name),
        given: (given ?? [Object.keys(files)[0] ?? '']).map((one) =>
          one.endsWith(',') ? one : join(folderOf(name), one),
        ),
        basedir: playbookFolder === undefined ? undefined : join(folderOf(name), playbookFolder),
      },
    ]),
  );
  const child = promisify(execFile)('/usr/bin/python3', ['-c', BATCH], {
    env: { ...process.env, LC_ALL: 'C.UTF-8', ANSIBLE_LOCALHOST_WARNING: 'false' },
    maxBuffer: 64 * 1024 * 1024,
  });
  child.child.stdin?.end(JSON.stringify(cases));
  const { stdout } = await child;
  const said = JSON.parse(stdout.slice(stdout.indexOf('\x01') + 1)) as Record<string, Listed>;
  for (const [name, listed] of Object.entries(said)) theirs.set(name, listed);
}

beforeAll(async () => {
  await ensurePackages(['ansible-core']);
  root = mkdtempSync(join(tmpdir(), 'drillbook-inventories-'));
  for (const [name, one] of Object.entries(CASES)) write(name, one);
  await askAnsible();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test.each(Object.entries(CASES))('as Ansible reads it: %s', (name, { files, given, playbookFolder }) => {
  const specs = (given ?? [Object.keys(files)[0] ?? '']).map((one) =>
    one.endsWith(',') ? one : join(folderOf(name), one),
  );
  const inventory = loadInventory(absoluteSpec(specs), {
    playbookFolder: playbookFolder === undefined ? undefined : join(folderOf(name), playbookFolder),
  });
  const { hosts, groups } = theirs.get(name) ?? { hosts: {}, groups: {} as Listed['groups'] };
  expect(Object.keys(hosts)).not.toEqual([]);
  expect(Object.fromEntries([...inventory.hosts].map(([host, { vars }]) => [host, vars]))).toEqual(hosts);
  const { all, ungrouped, ...others } = groups;
  expect([...inventory.hosts.keys()]).toEqual(all);
  expect(selectHosts('ungrouped', inventory)).toEqual(ungrouped);
  expect(Object.fromEntries(inventory.groups)).toEqual(others);
});

test('the batch says what the program says', async () => {
  const name = 'group_vars and host_vars beside the inventory';
  const { stdout } = await promisify(execFile)('ansible-inventory', [
    '-i',
    join(folderOf(name), 'hosts.ini'),
    '--list',
  ]);
  const { _meta: meta } = JSON.parse(stdout) as { _meta: { hostvars: unknown } };
  expect(theirs.get(name)?.hosts).toEqual(meta.hostvars);
});

test.each(PATTERNS)('as Ansible has it, the hosts of the pattern %s', (pattern) => {
  const inventory = loadInventory(join(folderOf(OF_PATTERNS), 'hosts.ini'));
  const wanted = theirs.get(OF_PATTERNS)?.patterns[pattern] ?? [];
  const chosen = [...inventory.hosts.keys()].filter((host) => wanted.includes(host));
  expect(chosen).not.toEqual([]);
  expect(selectHosts(pattern, inventory)).toEqual(chosen);
});
