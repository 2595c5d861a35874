import { downLab, upLab } from '../../engine/lab/lab.ts';
import type { Lab, UpOptions } from '../../engine/lab/lab.ts';

/** A new lab, also where a test run that was killed has left one of this name. */
export async function freshLab(options: UpOptions): Promise<Lab> {
  await downLab(options.name);
  return upLab(options);
}
