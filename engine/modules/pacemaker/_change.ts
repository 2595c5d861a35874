import { z } from 'zod';
import type { Checked, Context } from '../../core/module.ts';
import { pushCib, readCib } from './_cib.ts';
import type { Cib } from './_cib.ts';
import type { Edit } from './_edit.ts';
import { failuresBefore, refuseFailures, settled } from './_settle.ts';

/** For `returns` of modules. */
export const zEpoch = {
  epoch: z.string().describe('Number of the configuration as it was found: ADMIN_EPOCH.EPOCH'),
};

/** The edit that a module wants, made from the configuration as it is. */
export type Wanting = (cib: Cib) => Edit | Promise<Edit>;

export async function checkCib(ctx: Context, wanting: Wanting): Promise<Checked> {
  const cib = await readCib(ctx);
  const { changes } = (await wanting(cib))(cib.configuration);
  return { changes, result: { epoch: cib.epoch } };
}

/**
 * Pushes the edited configuration at once, and waits until the cluster has done what follows from it; fails where operations
 * of the resources that are watched fail then.
 */
export async function applyCib(
  ctx: Context,
  wanting: Wanting,
  waitMs: number,
  watched: readonly string[] = [],
): Promise<void> {
  const failed = waitMs > 0 && watched.length > 0 ? await failuresBefore(ctx) : [];
  const cib = await readCib(ctx);
  const { configuration, changes } = (await wanting(cib))(cib.configuration);
  if (changes.length > 0) await pushCib(ctx, cib, configuration);
  if (waitMs > 0) refuseFailures(await settled(ctx, waitMs), failed, new Set(watched));
}
