import { DrillbookError } from '../core/error.ts';
import type { PlayKeywords } from '../parse/playbook-schema.ts';
import { breathe } from './waiting.ts';

/** Runs `work` on every item, at most `limit` at once. After an error what is under way ends and nothing more begins. */
export async function each<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const errors: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      if (errors.length > 0) return;
      await work(item).catch((error: unknown) => errors.push(error));
      await breathe();
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (errors.length > 0) throw errors[0];
}

/** Hosts in a batch for one entry of `serial`, `3` or `50%`; undefined for what is neither. */
function batchSize(size: number | string, hosts: number): number | undefined {
  const text = String(size).trim();
  if (!/^\d+(\.\d+)?%?$/.test(text)) return undefined;
  const number = Number.parseFloat(text);
  return Math.max(1, Math.floor(text.endsWith('%') ? (hosts * number) / 100 : number));
}

/** `[1, "50%"]` of 4 hosts → batches of 1, 2 and 1; the last size goes on until all hosts are through. */
export function batchesOf<T>(hosts: readonly T[], serial: PlayKeywords['serial']): T[][] {
  if (serial === undefined) return [[...hosts]];
  const sizes = (Array.isArray(serial) ? serial : [serial]).map((size) => {
    const number = batchSize(size, hosts.length);
    if (number !== undefined) return number;
    throw new DrillbookError('plan.serial', `serial: \`${size}\` is neither a number nor a percentage`);
  });
  const batches: T[][] = [];
  for (let from = 0, i = 0; from < hosts.length; i++) {
    const size = sizes[Math.min(i, sizes.length - 1)] ?? hosts.length;
    batches.push(hosts.slice(from, from + size));
    from += size;
  }
  return batches;
}
