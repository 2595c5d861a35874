import type { Host, OpenTransport, Transport } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';

/** One connection a host for the whole run, opened when first needed and again after it was lost. */
export interface Connections {
  get(host: Host): Promise<Transport>;
  /** Forgets a connection that failed, so that the next `get` makes a new one. */
  drop(host: Host): void;
  close(): Promise<void>;
}

export function connections(open: OpenTransport, redactor: Redactor): Connections {
  const known = new Map<string, Promise<Transport>>();
  const connect = async (host: Host): Promise<Transport> => {
    const transport = open(host, { redactor });
    await transport.open();
    return transport;
  };
  const drop = (host: Host): void => {
    const gone = known.get(host.name);
    known.delete(host.name);
    gone?.then((transport) => transport.close()).catch(() => undefined);
  };
  return {
    get(host) {
      let connection = known.get(host.name);
      if (!connection) {
        connection = connect(host);
        known.set(host.name, connection);
        connection.catch(() => known.delete(host.name));
      }
      return connection;
    },
    drop,
    async close() {
      const all = await Promise.allSettled(known.values());
      known.clear();
      await Promise.allSettled(
        all.map((one) => (one.status === 'fulfilled' ? one.value.close() : undefined)),
      );
    },
  };
}
