import { z } from 'zod';

const text = z.string();
const int = z.int();

const zInterface = z.object({
  name: text,
  mac: text,
  mtu: int,
  state: text,
  model: text.describe('driver of the device'),
  addresses: z.array(z.object({ address: text, prefix: int, family: z.enum(['ipv4', 'ipv6']) })),
});

const zMount = z.object({
  path: text,
  device: text,
  type: text,
  is_read_only: z.boolean(),
  size_bytes: int.optional(),
  free_bytes: int.optional(),
});

const zBlockDevice = z.object({
  name: text,
  path: text,
  type: text.describe('disk, part, lvm, raid1, crypt, loop, …'),
  size_bytes: int,
  is_read_only: z.boolean(),
  is_rotational: z.boolean(),
  fstype: text.describe('what blkid finds on it; empty where nothing'),
  label: text,
  uuid: text.describe('of the file system'),
  mountpoint: text.describe('empty where it is not mounted; [SWAP]'),
  serial: text,
  model: text,
  by_id: z.array(text).describe('its names in /dev/disk/by-id, whole paths'),
  parents: z.array(text).describe('names of the devices it is made of'),
  partitions: z.array(text).describe('names of its partitions'),
});

/** Shape of `facts`; what is there depends on what was gathered, and on what the node has. */
export const zFacts = z
  .strictObject({
    os: z
      .object({ id: text, version: text, name: text, codename: text, family: text })
      .describe('family: debian, redhat, suse, alpine or the id'),
    kernel: text.describe('release of the kernel'),
    arch: text.describe('machine, as uname -m says it'),
    hostname: text.describe('its own name'),
    boot_id: text.describe('another one after each boot'),
    init: z.enum(['systemd', 'openrc', 'sysv']).describe('what starts services'),
    package_manager: text.describe('apt, dnf, yum, zypper, apk or rpm'),
    python: text.describe('path of the Python there is'),
    selinux: text.describe('absent, or as getenforce says it'),
    virtualization: text.describe('as systemd-detect-virt says it'),
    cpu: z.object({ model: text, count: int }).describe('processors'),
    memory_bytes: int.describe('all memory'),
    memory_available_bytes: int.describe('memory that programs may have now'),
    swap_bytes: int.describe('all swap'),
    interfaces: z.array(zInterface).describe('network interfaces'),
    default_route: z.object({ gateway: text, interface: text, source: text }).describe('the way out'),
    dns: z.array(text).describe('name servers'),
    mounts: z.array(zMount).describe('mounted file systems'),
    block_devices: z
      .array(zBlockDevice)
      .describe('disks, partitions and what is made of them; gathered where asked for'),
    time: z
      .object({
        epoch: int.optional(),
        timezone: text.optional(),
        ntp_synchronized: z.boolean().optional(),
        uptime_seconds: int.optional(),
      })
      .describe('the clock'),
    users: z
      .array(z.object({ name: text, uid: int, gid: int, home: text, shell: text }))
      .describe('gathered where asked for'),
    packages: z.record(text, text).describe('name → version; gathered where asked for'),
    services: z.record(text, text).describe('unit → active state; gathered where asked for'),
  })
  .partial()
  .describe('What the node is, by name');
