import type { DrillRequest } from './course.ts';

/** The lock of the pair, which a playbook of the drill takes for itself meanwhile. */
export interface PairLock {
  take(): Promise<void>;
  release(): Promise<void>;
}

export function pairLock(request: Pick<DrillRequest, 'lock'>): PairLock {
  let letGo: (() => Promise<void>) | undefined;
  return {
    async take() {
      letGo = await request.lock();
    },
    async release() {
      await letGo?.();
      letGo = undefined;
    },
  };
}
