import { mkdirSync, writeFileSync } from 'node:fs';
import type { Host } from '../../engine/core/host.ts';
import { startSshd } from '../transports/_sshd.ts';
import type { Sshd } from '../transports/_sshd.ts';

/** A node for locks: this machine by an sshd that sees a /var/lib/drillbook and a time since boot of its own. */
export interface Node {
  readonly sshd: Sshd;
  host(name: string, rest?: Partial<Host>): Host;
  /** A path as the node sees it, for a look from here. */
  path(path: string): string;
  /** The folder of a cluster's lock, seen from here. */
  folder(cluster: string): string;
  setUptime(seconds: number): void;
  /** A row of `hosts:` in an inventory. */
  row(name: string): string;
}

/** `mount`: options of the memory that its /var/lib/drillbook is on, such as `size=64k`. */
export async function startNode(mount = 'mode=755'): Promise<Node> {
  const own = [
    'mkdir -p /var/lib/drillbook',
    'mount -t tmpfs -o "$0" none /mnt',
    'echo 5000.00 1.00 >/mnt/uptime',
    'mkdir /mnt/own',
    'mount --bind /mnt/uptime /proc/uptime',
    'mount --bind /mnt/own /var/lib/drillbook',
    'exec "$@"',
  ];
  const sshd = await startSshd([], ['unshare', '-m', 'sh', '-ec', own.join('\n'), mount]);
  const path = (inside: string): string => `/proc/${sshd.process.pid}/root${inside}`;
  return {
    sshd,
    path,
    folder: (cluster) => path(`/var/lib/drillbook/locks/${cluster}`),
    host: (name, rest = {}) => ({ ...sshd.host(), name, ...rest }),
    setUptime: (seconds) => writeFileSync(path('/mnt/uptime'), `${seconds}.00 1.00\n`),
    row: (name) =>
      `  ${name}: { connection: { address: 127.0.0.1, port: ${sshd.port}, user: root, identity_file: ${sshd.identityFile}, known_hosts: ${sshd.knownHosts}, ssh_config: /dev/null } }`,
  };
}

/** Puts a record where a run of old would have left one. */
export function plantRecord(folder: string, token: number, lines: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${token}`, lines.map((line) => `${line}\n`).join(''));
}
