import { onTestFinished } from 'vitest';
import type { Host, Transport } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { openTransport } from '../../engine/transports/open.ts';
import { startSshd } from '../transports/_sshd.ts';
import type { Sshd } from '../transports/_sshd.ts';

/** A node for locks: this machine by an sshd that sees a /var/lib/drillbook of its own. */
export interface Node {
  readonly sshd: Sshd;
  host(name: string, rest?: Partial<Host>): Host;
  /** A path as the node sees it, for a look from here. */
  path(path: string): string;
  /** A row of `hosts:` in an inventory. */
  row(name: string): string;
  connect(host: Host): Promise<Transport>;
}

/** `mount`: options of the memory that its /var/lib/drillbook is on, such as `size=64k`. */
export async function startNode(mount = 'mode=755', settings: readonly string[] = []): Promise<Node> {
  const own = `mkdir -p /var/lib/drillbook && mount -t tmpfs -o ${mount} none /var/lib/drillbook && exec "$@"`;
  const sshd = await startSshd(settings, ['unshare', '-m', 'sh', '-c', own, 'sh']);
  return {
    sshd,
    host: (name, rest = {}) => ({ ...sshd.host(), name, ...rest }),
    path: (path) => `/proc/${sshd.process.pid}/root${path}`,
    row: (name) =>
      `  ${name}: { connection: { address: 127.0.0.1, port: ${sshd.port}, user: root, identity_file: ${sshd.identityFile}, known_hosts: ${sshd.knownHosts}, ssh_config: /dev/null } }`,
    async connect(host) {
      const transport = openTransport(host, { redactor: new Redactor() });
      onTestFinished(() => transport.close());
      await transport.open();
      return transport;
    },
  };
}
