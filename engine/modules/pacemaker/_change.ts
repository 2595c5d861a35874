import { z } from 'zod';
import type { Checked, Context } from '../../core/module.ts';
import { pushCib, readCib } from './_cib.ts';
import type { Cib } from './_cib.ts';
import type { Edit } from './_edit.ts';
import { settled } from './_settle.ts';
import type { Status } from './_status.ts';

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

/** Pushes the edited configuration at once, and waits until the cluster has done what follows from it. */
export async function applyCib(ctx: Context, wanting: Wanting, waitMs: number): Promise<Status | undefined> {
  const cib = await readCib(ctx);
  const { configuration, changes } = (await wanting(cib))(cib.configuration);
  if (changes.length > 0) await pushCib(ctx, cib, configuration);
  return waitMs > 0 ? settled(ctx, waitMs) : undefined;
}
