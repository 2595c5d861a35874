import { setTimeout as delay } from 'node:timers/promises';

interface Job {
  readonly id: number;
  readonly name: string;
  readonly node: string;
}

export interface Written {
  /** Names of all rows whose write was acknowledged. */
  readonly acknowledged: readonly string[];
  /** Longest time in which no write was acknowledged, in ms. */
  readonly longestGapMs: number;
  /** All times together from an acknowledged write to the next one, or the end, with one between that was not, in ms. */
  readonly gapsMs: number;
  /** Node that answered each write, in order, repetitions left out. */
  readonly nodes: readonly string[];
}

/** Reads every job on the page at `address` whose name begins with `prefix`. */
export async function readJobs(address: string, prefix: string): Promise<Job[]> {
  const found: Job[] = [];
  for (let after = 0; ;) {
    const answer = await fetch(`http://${address}/jobs?after=${after}&limit=500`, {
      signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) throw new Error(`the page answers ${answer.status}`);
    const { jobs } = (await answer.json()) as { jobs: Job[] };
    found.push(...jobs.filter((job) => job.name.startsWith(prefix)));
    const last = jobs.at(-1);
    if (!last) return found;
    after = last.id;
  }
}

/**
 * An independent client: writes numbered rows through the VIP, one after the other, each with a connection of its own,
 * until `stop` is called. What failed is not written again: its number was not acknowledged.
 */
export function writer(
  address: string,
  prefix: string,
): { stop(): Promise<Written>; readonly count: () => number } {
  const acknowledged: string[] = [];
  const times: number[] = [];
  const nodes: string[] = [];
  /** How many were acknowledged when one was not. */
  const failedAfter = new Set<number>();
  let isStopped = false;
  const work = (async () => {
    for (let n = 1; !isStopped; n++) {
      try {
        const answer = await fetch(`http://${address}/jobs`, {
          method: 'POST',
          headers: { connection: 'close' },
          body: JSON.stringify({ name: `${prefix}${n}` }),
          signal: AbortSignal.timeout(500),
        });
        if (answer.status !== 201) throw new Error(String(answer.status));
        const job = (await answer.json()) as Job;
        acknowledged.push(job.name);
        times.push(performance.now());
        if (nodes.at(-1) !== job.node) nodes.push(job.node);
      } catch {
        // Refused, timed out or answered by a standby: not acknowledged.
        if (!isStopped) failedAfter.add(times.length);
      }
      await delay(10);
    }
  })();
  return {
    count: () => acknowledged.length,
    async stop() {
      const stoppedAt = performance.now();
      isStopped = true;
      await work;
      const gaps = [...times.slice(1), stoppedAt].map((time, i) => time - (times[i] ?? time));
      return {
        acknowledged,
        longestGapMs: Math.max(0, ...gaps),
        // A busy machine is slow with an answer; a write that was not acknowledged within its time is another thing.
        gapsMs: gaps.filter((_, i) => failedAfter.has(i + 1)).reduce((sum, gap) => sum + gap, 0),
        nodes,
      };
    },
  };
}
