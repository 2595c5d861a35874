import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { cached } from './cache.ts';
import type { CacheOptions } from './cache.ts';
import { makeTree } from './image.ts';
import { guarded } from './program.ts';
import { type VmImage } from './state.ts';

/**
 * Virtual machines are user-mode Linux: Debian's whole kernel, modules included, as ordinary processes; DRBD is in it
 * whatever this machine's kernel has. That of older suites does not start on processors with AMX.
 */
const KERNEL = { suite: 'sid', packages: ['user-mode-linux', 'base-files'] };
/** Where the kernel finds what it is given: the node's folder, the folder of its disk's image. */
const MOUNTS = ['lab/node', 'lab/image'];

/** First program of a virtual machine: its own settings, which a container has on its disk, and the names of devices. */
const INIT = `#!/bin/sh
mount -t proc proc /proc
mountpoint -q /dev || mount -t devtmpfs dev /dev
[ -e /etc/lab-own ] || { tar -xf /dev/ubdc -C / && : >/etc/lab-own && sync; }
for i in 0 1 2; do ip link set vec$i name eth$i; done
mount --bind /etc/lab-cpuinfo /proc/cpuinfo
exec /lib/systemd/systemd
`;

/** Says so when DRBD can be loaded, and ends. */
const SMOKE = `#!/bin/sh
mount -t proc proc /proc
modprobe drbd && echo "smoke: drbd $(head -n 1 /proc/drbd)"
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
sleep 5
`;

/** procps wants fields that the cpuinfo of user-mode Linux lacks. */
const CPU = {
  ...{ processor: 0, vendor_id: 'User Mode Linux', 'physical id': 0, siblings: 1 },
  ...{ 'core id': 0, 'cpu cores': 1, apicid: 0 },
};

const FILES: Readonly<Record<string, string>> = {
  'usr/local/sbin/lab-init': INIT,
  'usr/local/sbin/lab-smoke': SMOKE,
  'etc/lab-cpuinfo': `${Object.entries(CPU)
    .map(([name, value]) => `${name}\t: ${value}\n`)
    .join('')}\n`,
  'etc/udev/rules.d/60-lab.rules':
    'KERNEL=="ubdb", IMPORT{cmdline}="lab_disk", SYMLINK+="disk/by-id/ubd-$env{lab_disk}"\n',
  'etc/fstab': '/dev/ubda / ext4 defaults 0 1\n',
};

/** Makes a disk of the image's tree, the modules of the kernel's tree and the files of $4/own; works in $4. */
const MAKE = `
image=$1 kernel=$2 disk=$3 work=$4
mkdir -p "$work/own/usr/lib" "$work/root" "$work/overlay"
cp -a "$kernel/usr/lib/uml/modules" "$work/own/usr/lib/"
mount -t overlay overlay -o "lowerdir=$image,upperdir=$work/own,workdir=$work/overlay" "$work/root"
for version in $(ls "$work/own/usr/lib/modules"); do chroot "$work/root" depmod "$version"; done
truncate -s $(($(du -sm "$work/root" | cut -f1) * 5 / 4 + 1500))M "$disk"
mke2fs -q -t ext4 -J size=16 -E lazy_itable_init=1 -m 0 -d "$work/root" "$disk"
`;

/** Mounts for a kernel's tree $1: the folder of the disk $2, the node's folder $3, memory. Ends with its mount namespace. */
export const FURNISH = `
mount --bind "$3" "$1/lab/node"
mount --bind "$(dirname "$2")" "$1/lab/image"
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
mount -t tmpfs -o mode=1777,size=90% none "$1/tmp"
`;

/**
 * Runs the kernel with the options that follow, after FURNISH. At a reboot it would execute itself anew, by its first
 * argument, with its network cards still open; so that argument is a program that ends with 127.
 */
export const RUN = `env TMPDIR=/tmp perl -e 'chroot shift; chdir "/"; exec { "/usr/bin/linux.uml" } "/lib64/ld-linux-x86-64.so.2", @ARGV' \
  "$kernel" seccomp=on umid=lab uml_dir=/tmp/uml root=/dev/ubda rootfstype=ext4 rw con0=null,fd:1 con=null ssl=null \
  console=tty0 quiet selinux=0 panic=-1`;

const PROBE = `
kernel=$1
${FURNISH}
timeout 180 ${RUN} mem=256M ubd0=/lab/node/probe.cow,/lab/image/disk init=/usr/local/sbin/lab-smoke </dev/null 2>&1 || :
`;

/** What virtual machines of this image boot: built now, or from the cache; proved by a boot of a second. */
export async function ensureVm(image: string, options: CacheOptions): Promise<VmImage> {
  const { onProgress, signal } = options;
  if (process.arch !== 'x64') throw noVm(`is for amd64 alone, and this machine is ${process.arch}`);
  const kernel = await cached('kernel', [KERNEL, MOUNTS], options, async (folder) => {
    onProgress('unpacking a kernel with DRBD (user-mode Linux)');
    await makeTree(KERNEL, 'extract', folder, signal);
    for (const path of MOUNTS) await mkdir(join(folder, path), { recursive: true });
  });
  const recipe = [basename(image), basename(kernel), FILES, MAKE, PROBE];
  const folder = await cached('disk', recipe, options, async (unfinished) => {
    onProgress('making the disk of the virtual machines');
    const work = `${unfinished}.tmp`;
    await mkdir(unfinished);
    for (const [path, content] of Object.entries(FILES)) {
      const own = join(work, 'own', path);
      await mkdir(dirname(own), { recursive: true });
      await writeFile(own, content);
      if (path.startsWith('usr/local/sbin/')) await chmod(own, 0o755);
    }
    const disk = join(unfinished, 'disk');
    await guarded(['sh', '-euc', MAKE, 'sh', image, kernel, disk, work], { signal });
    const said = await guarded(['sh', '-euc', PROBE, 'sh', kernel, disk, work], { signal });
    if (!said.includes('smoke: drbd')) {
      const end = said.trim().split('\n').slice(-3).join('; ');
      throw noVm(`does not run on this machine: ${end}`);
    }
  });
  return { kernel, disk: join(folder, 'disk') };
}

const noVm = (why: string): DrillbookError =>
  new DrillbookError('lab.vm', `user-mode Linux ${why}`, {
    hint: 'a lab without DRBD is to be had: leave --drbd out',
  });
