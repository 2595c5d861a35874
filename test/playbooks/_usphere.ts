import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { freshLab } from '../lab/_fresh.ts';
import { editedInventory, playbook, statusOf } from './_playbook.ts';
import type { Ran } from './_playbook.ts';

/** Enters hosts by the virtual address until it is stopped. */
export interface Writer {
  /** Resolves when ten more are acknowledged. */
  readonly goesOn: () => Promise<void>;
  /** The names that were acknowledged, and the longest time without one. */
  readonly stop: () => Promise<{ names: string[]; gapMs: number }>;
}

/** Two hosts with kernels of their own, and what a test does with them. */
export interface Usphere {
  readonly lab: Lab;
  /** Folder of the runs' journals. */
  readonly state: string;
  readonly web: string;
  readonly on: (node: string, command: string, stdin?: string) => Promise<string>;
  readonly run: (name: string, inventory?: string, extra?: readonly string[]) => Promise<Ran>;
  /** Runs a playbook that is to come to a good end. */
  readonly done: (name: string, inventory?: string, extra?: readonly string[]) => Promise<Ran>;
  /** The inventory with some of its text changed. */
  readonly edited: (name: string, change: (text: string) => string) => Promise<string>;
  readonly status: (inventory?: string) => Promise<ClusterStatus>;
  readonly roles: () => Promise<string[]>;
  /** The view of the guide. */
  readonly view: (inventory?: string) => Promise<string>;
  /** The host that answers by the virtual address, or nothing. */
  readonly serving: () => Promise<string>;
  readonly writer: (word: string) => Writer;
  readonly lost: (names: readonly string[]) => Promise<string[]>;
  readonly close: () => Promise<void>;
}

export async function openUsphere(name: string, arbiter: boolean): Promise<Usphere> {
  const state = await mkdtemp(join(tmpdir(), `${name}-`));
  const lab = await freshLab({
    ...{ name, stack: 'usphere', database: 'mariadb' },
    ...{ drbd: true, installed: true, arbiter },
  });
  const web = `http://${(lab.nodes[0]?.addresses.net1 ?? '').replace(/\.\d+$/, '.100')}:8080`;

  const run: Usphere['run'] = (book, inventory = lab.inventory, extra = []) =>
    playbook(`usphere/${book}`, inventory, { state, extra });
  const done: Usphere['done'] = async (...given) => {
    const ran = await run(...given);
    expect(ran.code, ran.told).toBe(0);
    return ran;
  };
  const status: Usphere['status'] = (inventory = lab.inventory) => statusOf(inventory);

  async function enter(host: string): Promise<boolean> {
    const body = JSON.stringify({ name: host, address: '10.0.0.9' });
    const wish = { method: 'POST', body, signal: AbortSignal.timeout(3000) };
    const answer = await fetch(`${web}/hosts`, wish).catch(() => undefined);
    return answer?.status === 201;
  }
  function writer(word: string): Writer {
    const names: string[] = [];
    let isOver = false;
    let [last, gapMs] = [performance.now(), 0];
    const going = (async () => {
      for (let n = 1; !isOver; n++) {
        if (await enter(`${word}-${n}`)) {
          names.push(`${word}-${n}`);
          gapMs = Math.max(gapMs, performance.now() - last);
          last = performance.now();
        }
        await pause(50);
      }
    })();
    return {
      goesOn: async () => {
        const count = names.length + 10;
        await expect.poll(() => names.length, { timeout: 180_000 }).toBeGreaterThan(count);
      },
      stop: async () => {
        isOver = true;
        await going;
        return { names, gapMs };
      },
    };
  }

  return {
    ...{ lab, state, web, run, done, status, writer },
    on: async (node, command, stdin = '') => {
      const { code, stdout, stderr } = await lab.ssh(node, command, { stdin });
      if (code !== 0) throw new Error(`${command} on ${node}: ${stdout}${stderr}`);
      return stdout.trim();
    },
    edited: (file, change) => editedInventory(lab.inventory, join(state, `${file}.yml`), change),
    roles: async () => (await status()).nodes.map(({ role }) => role),
    view: async (inventory) => {
      const { steps } = await done('status', inventory);
      return String(steps.find((step) => step.name === 'crm status')?.result['msg']);
    },
    serving: async () => {
      const wish = { signal: AbortSignal.timeout(3000) };
      const answer = await fetch(`${web}/status.json`, wish).catch(() => undefined);
      return answer?.ok === true ? ((await answer.json()) as { node: string }).node : '';
    },
    lost: async (names) => {
      const answer = (await (await fetch(`${web}/hosts`)).json()) as { hosts: { name: string }[] };
      const kept = new Set(answer.hosts.map((one) => one.name));
      return names.filter((one) => !kept.has(one));
    },
    close: async () => {
      await lab.down();
      await rm(state, { recursive: true, force: true });
    },
  };
}
