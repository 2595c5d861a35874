import type { Become } from '../core/host.ts';
import type { Shell } from './_shell.ts';

/** Shells by user: one exchange each at a time, a further one is opened when all of a user's are busy. */
export interface Pool {
  take(become: Become | undefined): Promise<Shell>;
  /** Takes back a shell that `take` gave; a dead one is forgotten. */
  give(shell: Shell): void;
  close(): void;
}

interface Waiter {
  readonly become: Become | undefined;
  readonly resolve: (shell: Shell) => void;
  readonly reject: (reason: unknown) => void;
}

const keyOf = (become: Become | undefined): string =>
  become === undefined ? '' : `${become.method}:${become.user}:${become.password ?? ''}`;

/** `limit`: shells side by side, busy or idle (sshd grants 10 sessions to a connection: MaxSessions). */
export function makePool(limit: number, open: (become: Become | undefined) => Promise<Shell>): Pool {
  const idle: { key: string; shell: Shell }[] = [];
  const busy = new Map<Shell, string>();
  const waiting: Waiter[] = [];
  let opening = 0;

  async function start(waiter: Waiter): Promise<void> {
    opening++;
    try {
      const shell = await open(waiter.become);
      busy.set(shell, keyOf(waiter.become));
      waiter.resolve(shell);
    } catch (error) {
      waiter.reject(error);
    } finally {
      opening--;
      serve();
    }
  }

  /** Gives the longest waiter an idle shell of its user, or a new one; for room, an idle one of another user goes. */
  function serve(): void {
    for (let waiter = waiting[0]; waiter !== undefined; waiter = waiting[0]) {
      const key = keyOf(waiter.become);
      const at = idle.findLastIndex((item) => item.key === key);
      const found = at < 0 ? undefined : idle.splice(at, 1)[0];
      if (found !== undefined) {
        if (!found.shell.isAlive()) continue;
        waiting.shift();
        busy.set(found.shell, key);
        waiter.resolve(found.shell);
        continue;
      }
      if (idle.length + busy.size + opening >= limit) {
        const oldest = idle.shift();
        if (oldest === undefined) return;
        oldest.shell.close();
      }
      waiting.shift();
      void start(waiter);
    }
  }

  return {
    take: (become) =>
      new Promise((resolve, reject) => {
        waiting.push({ become, resolve, reject });
        serve();
      }),
    give(shell) {
      const key = busy.get(shell);
      busy.delete(shell);
      if (key !== undefined && shell.isAlive()) idle.push({ key, shell });
      serve();
    },
    close() {
      for (const { shell } of idle.splice(0)) shell.close();
      for (const shell of busy.keys()) shell.close();
    },
  };
}
