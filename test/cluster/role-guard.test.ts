import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { parseReading, readNode } from '../../engine/cluster/_dbackup-read.ts';
import { foldReadings, roleGuard, settingsSchema } from '../../engine/cluster/dbackup.ts';
import { agreedRole } from '../../engine/cluster/model.ts';
import type { Votes } from '../../engine/cluster/model.ts';
import { roleGuard as guardOf } from '../../engine/cluster/role-guard.ts';
import type { BoundRole, Role } from '../../engine/core/cluster.ts';
import type { Cluster, Guard } from '../../engine/core/host.ts';
import type { Context } from '../../engine/core/module.ts';
import { ensurePackages } from '../_apt.ts';

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** Runs shell text as a node would, with `bin` before all other programs. */
function shell(
  text: string,
  {
    bin = '',
    args = [],
    stdin = '',
    sh = 'sh',
  }: { bin?: string; args?: readonly string[]; stdin?: string; sh?: string } = {},
): Promise<string> {
  const [program = 'sh', ...words] = sh.split(' ');
  const env = { ...process.env, PATH: `${bin}:/usr/bin:/bin` };
  const child = spawn(program, [...words, '-s', '--', ...args], { env });
  let said = '';
  child.stdout.on('data', (piece: Buffer) => (said += piece.toString()));
  // As in an exchange: the shell is fed the text, and what the script reads comes by a pipe.
  child.stdin.end(`printf %s ${quote(stdin)} | (\n${text}\n)\n`);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(said));
  });
}

/** What the guard says against the act; empty where it has nothing against it. */
const refusal = ({ script, args }: Guard, bin?: string, sh?: string): Promise<string> =>
  shell(`${script}\nprintf '%s' "$refused"`, {
    args,
    ...(bin === undefined ? {} : { bin }),
    ...(sh === undefined ? {} : { sh }),
  });

const ROLES: readonly BoundRole[] = ['primary', 'standby', 'not_primary'];

beforeAll(() => ensurePackages(['busybox']));

test.each(['dash', 'bash', 'busybox sh'])(
  'guard and status come to the same role by the same votes, in %s',
  async (sh) => {
    const words = ['primary', 'standby', 'mute'] as const;
    const voices = {
      one: { primary: 'primary', standby: 'standby' },
      two: { primary: 'primary', standby: 'standby' },
    } as const;
    for (const one of words) {
      for (const two of words) {
        const said = Object.entries({ one, two }).filter(([, word]) => word !== 'mute');
        const votes = Object.fromEntries(said) as Votes;
        const role = agreedRole(votes);
        for (const wanted of ROLES) {
          const isMet =
            wanted === 'not_primary' ? !Object.values(votes).includes('primary') : role === wanted;
          const script = `witness one ${one}; witness two ${two}`;
          const why = await refusal(guardOf('n', wanted, { voices, script, args: [] }), undefined, sh);
          expect(why === '', `${wanted} with ${one}, ${two}: ${why}`).toBe(isMet);
          if (!isMet) expect(why).toMatch(/\(one: .*, two: .*\); nothing was done$/);
        }
      }
    }
  },
);

test.each(['exit 0', 'exit 1', "kill -9 $(sh -c 'echo $PPID')", ')', 'exec false'])(
  'a guard whose witnesses end in `%s` refuses',
  async (script) => {
    const guard = guardOf('n', 'not_primary', { voices: {}, script: `${script}\nexit 3`, args: [] });
    // In `eval`, as in an exchange: a syntax error there is not the end of the shell.
    const text = `eval ${quote(guard.script)}\n[ -n "$refused" ] || echo 'the act runs'`;
    const said = await shell(`( ${text} ) 2>/dev/null; echo 'the end'`, { args: guard.args });
    expect(said).toBe('the end\n');
  },
);

test('a guard leaves the input, the arguments and the variables of the script alone', async () => {
  const script = 'read -r line; cat; line=x; witness one primary';
  const guard = guardOf('n', 'primary', { voices: { one: { primary: 'primary' } }, script, args: ['a'] });
  const text = `${guard.script}\nprintf '%s|%s|%s|%s' "$refused" "\${line-unset}" "$*" "$(cat)"`;
  expect(await shell(text, { args: guard.args, stdin: 'kept' })).toBe('|unset|n primary a|kept');
});

interface State {
  readonly read_only: 'on' | 'off' | 'down';
  readonly vip: 'here' | 'elsewhere' | 'nowhere';
  /** One node alone cannot see whether its peer replicates too, so one way is no state of its own. */
  readonly replication: 'none' | 'both';
  readonly hactl: 'absent' | 'no cluster' | 'Primary' | 'Standby' | 'Unknown';
}
const STATES: readonly State[] = (['on', 'off', 'down'] as const).flatMap((read_only) =>
  (['here', 'elsewhere', 'nowhere'] as const).flatMap((vip) =>
    (['none', 'both'] as const).flatMap((replication) =>
      (['absent', 'no cluster', 'Primary', 'Standby', 'Unknown'] as const).map((hactl): State => ({
        read_only,
        vip,
        replication,
        hactl,
      })),
    ),
  ),
);

const VIP = '192.0.2.100';
const PEER = '192.0.2.12';

const XML = (rows: readonly (readonly [string, string])[]): string =>
  `<resultset>${rows.length === 0 ? '' : `<row>${rows.map(([name, value]) => `<field name="${name}">${value}</field>`).join('')}</row>`}</resultset>`;

/** Programs that answer as those of a node in that state do. */
function programs(dir: string, state: State): void {
  const put = (name: string, text: string): void => {
    mkdirSync(join(dir, name, '..'), { recursive: true });
    writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(dir, name), 0o755);
  };
  const variables = `<resultset><row><field name="Variable_name">version</field><field name="Value">10.11.6-MariaDB</field></row><row><field name="Variable_name">read_only</field><field name="Value">${state.read_only.toUpperCase()}</field></row></resultset>`;
  const replica =
    state.replication === 'both'
      ? ([
          ['Master_Host', PEER],
          ['Slave_IO_Running', 'Yes'],
        ] as const)
      : [];
  put(
    'mariadb',
    state.read_only === 'down'
      ? 'echo "ERROR 2002 (HY000)" >&2; exit 1'
      : `case "$*" in
  *--xml*VARIABLES*) echo ${quote(variables)} ;;
  *--xml*) echo ${quote(XML(replica))} ;;
  *) echo '*** 1. row ***'; echo 'read_only: ${state.read_only === 'on' ? 1 : 0}'
     echo ${quote(replica.map(([name, value]) => `        ${name}: ${value}`).join('\n'))} ;;
esac`,
  );
  put(
    'ip',
    `echo '1: lo    inet 127.0.0.1/8 scope host lo'${state.vip === 'here' ? `; echo '2: eth0    inet ${VIP}/24 scope global eth0'` : ''}`,
  );
  put('ping', `case "$*" in *${VIP}) exit ${state.vip === 'nowhere' ? 1 : 0} ;; *) exit 1 ;; esac`);
  if (state.hactl === 'no cluster') put('install/bin/hactl', 'echo "hactl: no cluster" >&2; exit 1');
  else if (state.hactl !== 'absent')
    put('install/bin/hactl', `echo 'node: a'; echo 'role: ${state.hactl}'; echo 'peer role: Primary'`);
}

test('guard and status of dbackup come to the same role of a node in each of 90 states', async () => {
  const root = mkdtempSync(join(tmpdir(), 'role-guard-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));

  async function look(state: State, i: number): Promise<void> {
    const bin = join(root, String(i));
    programs(bin, state);
    const cluster: Cluster = {
      name: 'pair',
      stack: 'dbackup',
      nodes: ['a', 'b'],
      settings: {
        heartbeats: [{ addresses: { a: '192.0.2.11', b: PEER } }],
        vips: [{ address: VIP, interfaces: { a: 'eth0', b: 'eth0' } }],
        install_dir: join(bin, 'install'),
      },
    };
    const settings = settingsSchema.parse(cluster.settings);
    const ctx = {
      sh: async (script: string, { args, stdin }: { args: readonly string[]; stdin: string }) => ({
        code: 0,
        stdout: await shell(script, { bin, args, stdin }),
        stderr: '',
      }),
    } as unknown as Context;
    const own = await readNode(ctx, settings, 'a', 'b');
    const isPeerReplica = state.replication === 'both';
    const peer = parseReading(
      `@variables\n<resultset><row><field name="Variable_name">read_only</field><field name="Value">ON</field></row></resultset>\n@replica\n${XML(isPeerReplica ? [['Master_Host', '192.0.2.11']] : [])}\n@addresses\n${state.vip === 'elsewhere' ? `2: eth0    inet ${VIP}/24 scope global eth0` : ''}\n@services\n`,
    );
    const seen = { address: '', silence: undefined };
    const { nodes } = foldReadings(cluster, settings, [
      { ...seen, name: 'a', reading: own },
      { ...seen, name: 'b', reading: peer },
    ]);
    const role: Role | undefined = nodes[0]?.role;
    // A database that is in no cluster takes writes and is no primary for that.
    const isPrimaryToAny =
      state.vip === 'here' || state.hactl === 'Primary' || (state.read_only === 'off' && role !== 'free');
    for (const wanted of ROLES) {
      const said = await refusal(roleGuard(cluster, 'a', wanted), bin);
      const isMet = wanted === 'not_primary' ? !isPrimaryToAny : role === wanted;
      expect(said === '', `${wanted} in ${JSON.stringify(state)}, ${role} to status: ${said}`).toBe(isMet);
    }
  }

  const left = [...STATES.entries()];
  const worker = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await look(next[1], next[0]);
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  expect(STATES).toHaveLength(90);
}, 240_000);
