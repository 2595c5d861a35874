import type { Host, OpenTransport, Transport } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';

/** One connection a host for the whole run, opened when first needed and again after it was lost. */
export interface Connections {
  get(host: Host): Promise<Transport>;
  /** Forgets a connection that failed, so that the next `get` makes a new one; another step may have made it already. */
  drop(host: Host, failed: Transport): void;
  close(): Promise<void>;
}

export function connections(open: OpenTransport, redactor: Redactor): Connections {
  const known = new Map<string, Promise<Transport>>();
  const opened = new WeakMap<Transport, Promise<Transport>>();
  const connect = async (host: Host): Promise<Transport> => {
    const transport = open(host, { redactor });
    await transport.open();
    return transport;
  };
  return {
    get(host) {
      let connection = known.get(host.name);
      if (!connection) {
        connection = connect(host);
        known.set(host.name, connection);
        const made = connection;
        made.then(
          (transport) => opened.set(transport, made),
          () => known.delete(host.name),
        );
      }
      return connection;
    },
    drop(host, failed) {
      if (known.get(host.name) !== opened.get(failed)) return;
      known.delete(host.name);
      failed.close().catch(() => undefined);
    },
    async close() {
      const all = await Promise.allSettled(known.values());
      known.clear();
      await Promise.allSettled(
        all.map((one) => (one.status === 'fulfilled' ? one.value.close() : undefined)),
      );
    },
  };
}
