import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Lab } from '../../engine/lab/lab.ts';
import type { Database } from '../../engine/lab/state.ts';
import { eventsOf, start } from '../cli/_drillbook.ts';
import { buildPair } from '../playbooks/_playbook.ts';
import { freshLab } from '../lab/_fresh.ts';

const MARK = '/run/roles-mark';
const GO = '/run/roles-go';

/** Things not to be done on the wrong node, each leaving its mark, by each way to act. */
const ACTS = {
  'a command': `shell: 'touch ${MARK}'`,
  'a program that asks': `dialogue: { cmd: 'touch ${MARK}', responses: [{ prompt: sure, answer: y, optional: true }] }`,
  'a file': `copy: { dest: ${MARK}, content: x }`,
  'a statement': `mysql.execute: SET GLOBAL max_connect_errors = 4242`,
};
type Act = keyof typeof ACTS;

/** The run waits on the node for `GO`, then acts. */
const book = (hosts: string, act: Act, role: string): string => `name: Roles
plays:
  - name: Act
    hosts: ${hosts}
    tasks:
      - name: wait
        wait_for: { path: ${GO}, timeout: 2m, interval: 100ms }
      - name: act
        role: ${role}
        ${ACTS[act]}
`;

/** A running pair whose roles change under a run; `flips` times by real switches. */
export const rolesOnPair = (database: Database, flips: number) =>
  describe(`roles that change on a running pair of ${database}`, () => {
    let lab: Lab;
    let state: string;
    let [primary, standby] = ['dbk1', 'dbk2'];

    async function on(node: string, command: string, stdin = ''): Promise<string> {
      const said = await lab.ssh(node, command, { stdin });
      if (said.code !== 0) throw new Error(`${command} on ${node}: ${said.stdout}${said.stderr}`);
      return said.stdout.trim();
    }

    const sql = (node: string, text: string): Promise<string> => on(node, 'mysql -BN', text);

    /** Primary and standby change places, by hand. */
    async function switchover(): Promise<void> {
      await on(primary, '/opt/scutech/dbackup3/bin/hactl demote', 'y\n');
      await on(standby, '/opt/scutech/dbackup3/bin/hactl promote', 'y\n');
      [primary, standby] = [standby, primary];
      await expect.poll(() => on(primary, 'ip -o addr show'), { timeout: 30_000 }).toMatch(/\.100\//);
    }

    async function marked(): Promise<string[]> {
      const names = ['dbk1', 'dbk2'];
      const marks = await Promise.all(
        names.map(async (name) => {
          const errors = await sql(name, 'SELECT @@GLOBAL.max_connect_errors');
          return errors === '4242' || (await on(name, `ls ${MARK} 2>/dev/null; true`)) !== '';
        }),
      );
      return names.filter((_, i) => marks[i]);
    }

    /** Runs the playbook to its end, `then` done while it waits just before the act. */
    async function run(hosts: string, act: Act, role: string, then: () => Promise<void>) {
      const file = join(state, 'book.yml');
      await writeFile(file, book(hosts, act, role));
      const held = hosts === 'primary' ? primary : standby;
      let meanwhile: Promise<unknown> | undefined;
      const child = start(['run', file, '-i', lab.inventory, '--output', 'jsonl'], {
        env: { DRILLBOOK_STATE: join(state, 'runs') },
        onLine(line) {
          if (!line.includes('"step_started"') || !line.includes('"wait"')) return;
          meanwhile = then().finally(() => on(held, `touch ${GO}`));
          meanwhile.catch(() => undefined);
        },
      });
      const said = await child.ended;
      await meanwhile;
      const end = eventsOf(said).find((event) => event.event === 'step_finished' && event.name === 'act');
      const reason = end?.event === 'step_finished' ? (end.reason ?? '') : said.stderr;
      return { code: said.code, held, reason };
    }

    beforeAll(async () => {
      state = await mkdtemp(join(tmpdir(), 'roles-'));
      lab = await freshLab({ name: `roles-${database}`, database });
      await buildPair(lab.inventory, state);
    });
    afterAll(async () => {
      await lab?.down();
      await rm(state, { recursive: true, force: true });
    });
    beforeEach(async () => {
      for (const node of ['dbk1', 'dbk2']) {
        await sql(node, 'SET GLOBAL max_connect_errors = 100');
        await on(node, `rm -f ${MARK} ${GO}`);
      }
    });

    const acts = Object.keys(ACTS) as Act[];

    test.each(acts)('%s is done where the role has stayed', async (act) => {
      const ran = await run('standby', act, 'standby', () => Promise.resolve());
      expect([ran.code, await marked()], ran.reason).toEqual([0, [standby]]);
    });

    test('a program that asks is done on a primary that has stayed primary', async () => {
      const ran = await run('primary', 'a program that asks', 'primary', () => Promise.resolve());
      expect([ran.code, await marked()], ran.reason).toEqual([0, [primary]]);
    });

    test.each(
      Array.from({ length: flips }, (_, i) => [i + 1, acts[i % acts.length] ?? 'a command'] as const),
    )('switch %i between plan and task: %s is not done', async (n, act) => {
      const wanted = n % 2 === 0 ? 'primary' : 'standby';
      const ran = await run(
        wanted,
        act,
        n % 3 === 0 && wanted === 'standby' ? 'not_primary' : wanted,
        switchover,
      );
      expect([ran.code, await marked()], ran.reason).toEqual([5, []]);
      expect(ran.reason).toContain(wanted === 'standby' ? 'hactl: primary' : 'hactl: standby');
    });

    test.each(['standby', 'not_primary'])(
      'a VIP moved by hand to a node that is to be %s stops it',
      async (role) => {
        const [vip = ''] = (
          await on(primary, "ip -o -4 addr show | sed -n 's/.* inet \\([^ ]*\\.100\\/[0-9]*\\).*/\\1/p'")
        ).split('\n');
        const device = await on(
          primary,
          `ip -o -4 addr show | sed -n 's,^[0-9]*: \\([^ ]*\\) *inet ${vip} .*,\\1,p'`,
        );
        try {
          const ran = await run('standby', 'a command', role, async () => {
            await on(standby, `ip addr replace ${vip} dev ${device}`);
          });
          expect([ran.code, await marked()], ran.reason).toEqual([5, []]);
          expect(ran.reason).toContain('here (primary)');
          expect(ran.reason).toContain('read_only: on (standby)');
        } finally {
          await on(standby, `ip addr del ${vip} dev ${device}`);
        }
      },
    );

    test('a standby whose database takes writes is none', async () => {
      try {
        const ran = await run('standby', 'a file', 'standby', async () => {
          // The agent would make the database fit the role again.
          await on(standby, 'systemctl stop dbackup3-agent');
          await sql(standby, 'SET GLOBAL read_only = OFF');
        });
        expect([ran.code, await marked()], ran.reason).toEqual([5, []]);
        expect(ran.reason).toContain('read_only: off (primary)');
      } finally {
        await sql(standby, `SET GLOBAL ${database === 'mysql' ? 'super_' : ''}read_only = ON`);
        await on(standby, 'systemctl start dbackup3-agent');
        const status = '/opt/scutech/dbackup3/bin/hactl status';
        await expect.poll(() => on(standby, status), { timeout: 30_000 }).toContain('role: Standby');
      }
    });

    test('a primary whose peer has the VIPs is none', async () => {
      const addresses = (
        await on(
          primary,
          "ip -o -4 addr show | sed -n 's,^[0-9]*: \\([^ ]*\\) *inet \\([^ ]*\\.100/[0-9]*\\) .*,\\2 dev \\1,p'",
        )
      ).split('\n');
      try {
        const ran = await run('primary', 'a program that asks', 'primary', async () => {
          // keepalived is held, or it would put them back.
          await on(primary, 'pkill -STOP -x keepalived');
          for (const address of addresses) {
            await on(primary, `ip addr del ${address}`);
            // The standby takes them by itself once it hears nothing more.
            await on(standby, `ip addr replace ${address}`);
          }
        });
        expect([ran.code, await marked()], ran.reason).toEqual([5, []]);
        expect(ran.reason).toContain('elsewhere (standby)');
      } finally {
        for (const address of addresses) await on(standby, `ip addr del ${address} 2>/dev/null; true`);
        for (const address of addresses) await on(primary, `ip addr add ${address} 2>/dev/null; true`);
        await on(primary, 'pkill -CONT -x keepalived');
      }
    });
  });
