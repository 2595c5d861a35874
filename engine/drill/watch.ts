import { setTimeout as delay } from 'node:timers/promises';
import type { Watch } from '../core/cluster.ts';
import type { Host, Transport } from '../core/host.ts';
import type { Seen } from './measures.ts';

/** A node that says nothing for so long is out of sight; one whose database is frozen says something every 2.2 s. */
const SILENT_MS = 3000;
const AGAIN_MS = 500;

const isSame = (a: Seen | undefined, b: Omit<Seen, 'ms'>): boolean =>
  a !== undefined &&
  a.role === b.role &&
  a.isWritable === b.isWritable &&
  a.replication === b.replication &&
  a.vips.join() === b.vips.join();

/** Watches one node until the signal; tells what has changed. A node that is away is looked for again and again. */
export async function watchNode(
  host: Host,
  watch: Watch,
  open: (host: Host) => Transport,
  now: () => number,
  signal: AbortSignal,
  tell: (seen: Seen) => void,
): Promise<void> {
  let last: Seen | undefined;
  const note = (ms: number, is: Omit<Seen, 'ms' | 'node'>): void => {
    const seen = { node: host.name, ...is };
    if (isSame(last, seen)) return;
    last = { ms, ...seen };
    tell(last);
  };
  const away = (ms: number): void =>
    note(ms, { role: 'offline', isWritable: false, vips: [], replication: 'unknown' });

  while (!signal.aborted) {
    const transport = open(host);
    const silence = new AbortController();
    let heardMs = now();
    let timer: NodeJS.Timeout | undefined;
    const gone = new Promise<void>((resolve) => {
      const look = (): void => {
        if (now() - heardMs > SILENT_MS) away(heardMs);
        if (signal.aborted || now() - heardMs > SILENT_MS * 2) resolve();
        else timer = setTimeout(look, 200);
      };
      look();
    });
    let rest = '';
    const listen = async (): Promise<void> => {
      await transport.open();
      await transport.sh(watch.script, {
        ...{ args: watch.args, stdin: watch.stdin, signal: silence.signal, become: host.become },
        onOutput(text) {
          const lines = (rest + text).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) {
            const glance = watch.read(line);
            if (glance === undefined) continue;
            heardMs = now();
            const { role, isWritable, vips, replication } = glance;
            note(heardMs, { role, isWritable, vips, replication });
          }
        },
      });
    };
    await Promise.race([listen().catch(() => undefined), gone]);
    clearTimeout(timer);
    silence.abort();
    transport.close().catch(() => undefined);
    if (!signal.aborted) await delay(AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
}
