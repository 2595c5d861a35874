import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import type { ClusterStatus } from '../core/cluster.ts';
import { DrillbookError, StepFailed } from '../core/error.ts';
import { downLab, upLab } from '../lab/lab.ts';
import type { Database } from '../lab/state.ts';
import { command } from './_command.ts';

const MAIN = join(import.meta.dirname, 'drillbook.js');
const PLAYBOOKS = join('playbooks', 'dbackup');

interface Phase {
  readonly name: string;
  readonly seconds: number;
}

const say = (text: string): boolean => process.stdout.write(`${text}\n`);

/** Runs drillbook itself as the operator would; gives back its standard output where that is wanted. */
function drillbook(args: readonly string[], wanted: 'shown' | 'captured'): Promise<string> {
  return new Promise((resolve, reject) => {
    const stdout = wanted === 'shown' ? 'inherit' : 'pipe';
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['inherit', stdout, 'inherit'] });
    let text = '';
    child.stdout?.on('data', (piece: Buffer) => (text += piece.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(text);
      else
        reject(new DrillbookError('step.demo', `drillbook ${args.join(' ')} ended with exit code ${code}`));
    });
  });
}

async function playbook(name: string, inventory: string): Promise<void> {
  const file = join(PLAYBOOKS, `${name}.yml`);
  const plan = JSON.parse(
    await drillbook(['plan', file, '-i', inventory, '--output', 'json'], 'captured'),
  ) as {
    code: string;
    confirmations: readonly string[];
  };
  const yes = plan.confirmations.length > 0 ? ['--yes', plan.code] : [];
  say(`\n$ npx drillbook ${['run', file, '-i', inventory, ...yes].join(' ')}`);
  await drillbook(['run', file, '-i', inventory, ...yes], 'shown');
}

const readStatus = async (inventory: string): Promise<ClusterStatus> =>
  JSON.parse(await drillbook(['status', '-i', inventory, '--output', 'json'], 'captured')) as ClusterStatus;

/** Asks the page on the VIP; a VIP that has just moved may need a moment, so refused connections are tried again. */
async function page<T>(address: string, path: string, body?: object): Promise<T> {
  const init = body ? { method: 'POST', body: JSON.stringify(body) } : {};
  for (let tries = 1; ; tries++) {
    try {
      const answer = await fetch(`http://${address}${path}`, { ...init, signal: AbortSignal.timeout(2000) });
      if (answer.ok) return (await answer.json()) as T;
      throw new StepFailed(`the page on the VIP ${address} answers ${answer.status}`);
    } catch (error) {
      if (tries >= 20) throw error;
      await delay(250);
    }
  }
}

function primaryOf(status: ClusterStatus): string {
  return status.nodes.find((node) => node.role === 'primary')?.name ?? 'nobody';
}

function summary(status: ClusterStatus): string {
  const nodes = status.nodes
    .map((node) => `${node.name} ${node.online ? 'up' : 'DOWN'}, ${node.role}`)
    .join('; ');
  const vips = status.vips.map((vip) => `${vip.address} on ${vip.holders.join(', ') || 'nobody'}`).join('; ');
  return `${status.state}: ${nodes}; replication ${status.replication.state}; VIP ${vips}`;
}

export default command({
  summary: 'the main job from bare nodes to a tested switchover, in a lab on this machine',
  usage: '[--database mariadb|mysql] [--keep]',
  options: {
    database: { type: 'string', default: 'mariadb' },
    name: { type: 'string', default: 'demo' },
    keep: { type: 'boolean' },
  },
  help: {
    database: 'mariadb or mysql',
    name: 'name of the lab',
    keep: 'leave the lab up at the end',
  },
  async run({ options, signal }) {
    const { database, name, keep } = options as { database: Database; name: string; keep?: boolean };
    const phases: Phase[] = [];
    const phase = async <T>(title: string, work: () => Promise<T>): Promise<T> => {
      if (signal.aborted) throw new DrillbookError('interrupt.demo', 'interrupted');
      say(`\n=== ${title}`);
      const startedAt = performance.now();
      const result = await work();
      phases.push({ name: title, seconds: (performance.now() - startedAt) / 1000 });
      return result;
    };
    const { inventory } = await phase('Two bare nodes', () =>
      upLab({ name, database, signal, onProgress: say }),
    );
    // From here on the lab is ours to take down.
    try {
      for (const [title, file] of [
        ['Preflight', 'preflight'],
        ['Install', 'install'],
        ['Catalog', 'catalog'],
        ['Cluster', 'cluster-build'],
      ] as const) {
        await phase(title, () => playbook(file, inventory));
      }
      const built = await phase('Status', async () => {
        await drillbook(['status', '-i', inventory], 'shown');
        return readStatus(inventory);
      });
      const vip = built.vips[0]?.address ?? '';
      const row = await phase('A row written through the VIP', () =>
        page<{ id: number; node: string }>(vip, '/jobs', { name: 'demo' }),
      );
      await phase('Switchover', () => playbook('switch', inventory));
      const switched = await readStatus(inventory);
      const read = await phase('The row read through the VIP', () =>
        page<{ jobs: readonly { id: number; node: string }[] }>(vip, `/jobs?name=demo`),
      );
      const isThere = read.jobs.some((job) => job.id === row.id);
      await phase('Failback', () => playbook('failback', inventory));
      const back = await readStatus(inventory);
      say('\n=== Report');
      for (const { name: title, seconds } of phases) say(`  ${seconds.toFixed(1).padStart(7)} s  ${title}`);
      say(
        `  ${phases
          .reduce((sum, { seconds }) => sum + seconds, 0)
          .toFixed(1)
          .padStart(7)} s  in all\n`,
      );
      say(`  after the build: ${summary(built)}`);
      say(`  after the switch: ${summary(switched)}`);
      say(`  after the failback: ${summary(back)}`);
      say(
        `  row ${row.id}, written on ${row.node} through ${vip}, was ${isThere ? '' : 'NOT '}read there after the switch`,
      );
      const isMoved = primaryOf(built) !== primaryOf(switched) && primaryOf(back) === primaryOf(built);
      const isWell = [built, switched, back].every(
        (status) => status.state === 'running' && status.nodes.every((node) => node.online),
      );
      if (isThere && isMoved && isWell) return 0;
      throw new DrillbookError('step.demo', 'the demo did not reach its goal; the report above says where');
    } finally {
      if (keep)
        say(
          `\nThe lab stays up: npx drillbook lab status --name ${name}; npx drillbook lab down --name ${name}`,
        );
      else await downLab(name);
    }
  },
});
