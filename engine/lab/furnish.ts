import { appendFile, chmod, mkdir, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Units that cost a throw-away machine time and give it nothing. */
const MASKED = [
  ...['apt-daily', 'apt-daily-upgrade', 'dpkg-db-backup', 'e2scrub_all', 'fstrim', 'logrotate', 'man-db'].map(
    (unit) => `${unit}.timer`,
  ),
  ...['console-getty', 'getty@', 'systemd-pstore', 'e2scrub_reap', 'networking'].map(
    (unit) => `${unit}.service`,
  ),
  ...['ldconfig', 'systemd-journal-catalog-update', 'systemd-hwdb-update', 'sshd-keygen'].map(
    (unit) => `${unit}.service`,
  ),
  ...['ssh.socket', 'dev-hugepages.mount', 'sys-fs-fuse-connections.mount'],
];

/** At every boot, so that a VIP held before a reboot is gone after it, as on a real machine. */
const NETWORK = `#!/bin/sh
while read -r link address; do
  ip address flush dev "$link" scope global
  ip address add "$address" broadcast + dev "$link"
  ip link set "$link" up
done </etc/lab-network
`;

const NETWORK_UNIT = `[Unit]
Description=Addresses of the lab
DefaultDependencies=no
Before=network.target ssh.service sysinit.target
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-network
[Install]
WantedBy=sysinit.target
`;

/** As on a machine with a clock of its own; without the right to set it, for the clock is that of this machine. */
const TIMESYNCD = `[Unit]
ConditionVirtualization=
ConditionCapability=
[Service]
AmbientCapabilities=
CapabilityBoundingSet=
`;

const FILES: Readonly<Record<string, string>> = {
  '/usr/local/sbin/lab-network': NETWORK,
  '/etc/systemd/system/lab-network.service': NETWORK_UNIT,
  '/etc/systemd/system/systemd-timesyncd.service.d/lab.conf': TIMESYNCD,
  '/etc/systemd/journald.conf.d/lab.conf': '[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n',
  '/etc/ssh/sshd_config.d/lab.conf': 'HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\n',
  '/etc/resolv.conf': '',
  '/etc/fstab': '',
  '/etc/nsswitch.conf':
    'passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n',
};

/** What the two nodes must not share, and keepalived's start at boot: it is the operator who configures it. */
const REMOVED = [
  '/etc/machine-id',
  '/var/lib/dbus/machine-id',
  '/var/lib/mysql/auto.cnf',
  '/etc/systemd/system/multi-user.target.wants/keepalived.service',
];

/** All that decides what `furnish` does, for the image's key. */
export const FURNITURE = [MASKED, FILES, REMOVED];

interface Wish {
  readonly sshd?: string;
  readonly disabled?: readonly string[];
}

/** Turns a tree fresh from mmdebstrap into a base image. */
export async function furnish(root: string, { sshd = '', disabled = [] }: Wish): Promise<void> {
  const wanted = join(root, 'etc/systemd/system/multi-user.target.wants');
  for (const unit of disabled) await rm(join(wanted, `${unit}.service`), { force: true });
  for (const path of REMOVED) await rm(join(root, path), { force: true });
  for (const entry of await readdir(join(root, 'etc/ssh'))) {
    if (entry.startsWith('ssh_host_')) await rm(join(root, 'etc/ssh', entry));
  }
  for (const [path, content] of Object.entries(FILES)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await rm(join(root, path), { force: true });
    await writeFile(join(root, path), content);
  }
  await appendFile(join(root, 'etc/ssh/sshd_config.d/lab.conf'), sshd);
  await chmod(join(root, 'usr/local/sbin/lab-network'), 0o755);
  for (const unit of MASKED) await link('/dev/null', join(root, 'etc/systemd/system', unit));
  const wants = 'etc/systemd/system/sysinit.target.wants/lab-network.service';
  await link('../lab-network.service', join(root, wants));
  await link('/lib/systemd/system/multi-user.target', join(root, 'etc/systemd/system/default.target'));
  await markUpdated(root);
}

async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  await symlink(target, path);
}

/** Keeps ConditionNeedsUpdate= from rebuilding caches at every first boot. */
async function markUpdated(root: string): Promise<void> {
  const now = new Date();
  await utimes(join(root, 'usr'), now, now);
  for (const path of ['etc/.updated', 'var/.updated']) {
    await writeFile(join(root, path), '');
    await utimes(join(root, path), now, now);
  }
}
