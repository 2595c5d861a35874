import type { Host, OpenTransport, Transport } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';
import { atMost } from './waiting.ts';

const CLOSE_MS = 2_000;

/** One connection a host for the whole run, opened when first needed and again after it was lost. */
export interface Connections {
  get(host: Host): Promise<Transport>;
  /** The host was connected to before, in this run. */
  wasReached(host: string): boolean;
  /** The connection there is, or is being made. */
  opened(host: string): Promise<Transport> | undefined;
  /** Forgets a connection that failed, so that the next `get` makes a new one; another step may have made it already. */
  drop(host: Host, failed: Transport): void;
  close(): Promise<void>;
}

/** `onConnect`: what is done over each new connection before it is given out. */
export function connections(
  open: OpenTransport,
  redactor: Redactor,
  onConnect?: (host: Host, transport: Transport) => Promise<void>,
): Connections {
  const known = new Map<string, Promise<Transport>>();
  const reached = new Set<string>();
  const opened = new WeakMap<Transport, Promise<Transport>>();
  const made = new WeakMap<Promise<Transport>, Transport>();
  const connect = async (host: Host): Promise<Transport> => {
    const transport = open(host, { redactor });
    await transport.open();
    try {
      await onConnect?.(host, transport);
    } catch (error) {
      transport.close().catch(() => undefined);
      throw error;
    }
    return transport;
  };
  return {
    get(host) {
      let connection = known.get(host.name);
      // Left to itself it would connect anew behind our back.
      if (connection && made.get(connection)?.isGone()) {
        connection.then((gone) => gone.close()).catch(() => undefined);
        connection = undefined;
      }
      if (!connection) {
        const making = connect(host);
        connection = making;
        known.set(host.name, making);
        making.then(
          (transport) => {
            reached.add(host.name);
            opened.set(transport, making);
            made.set(making, transport);
          },
          () => known.delete(host.name),
        );
      }
      return connection;
    },
    wasReached: (host) => reached.has(host),
    opened: (host) => known.get(host),
    drop(host, failed) {
      if (known.get(host.name) !== opened.get(failed)) return;
      known.delete(host.name);
      failed.close().catch(() => undefined);
    },
    async close() {
      const all = [...known.values()].map(async (one) => (await one).close());
      known.clear();
      // A host that does not answer is not waited for.
      await atMost(CLOSE_MS, Promise.allSettled(all));
    },
  };
}
