import { blockDevices } from './_facts-blocks.ts';

type Facts = Record<string, unknown>;

const FAMILIES: readonly (readonly [RegExp, string])[] = [
  [/\b(debian|ubuntu|kylin-desktop|uos|deepin)\b/, 'debian'],
  [/\b(rhel|fedora|centos|kylin|openeuler|rocky|almalinux|anolis)\b/, 'redhat'],
  [/\b(suse|sles|opensuse)\b/, 'suse'],
  [/\balpine\b/, 'alpine'],
];

/** /proc/mounts writes blanks in paths as \040. */
const unescape = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

interface Interface {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly state: string;
  readonly model: string;
  readonly addresses: { address: string; prefix: number; family: string }[];
}

/** Reads what the facts script printed. */
export function parseFacts(text: string): Facts {
  const facts: Facts = {};
  const interfaces = new Map<string, Interface>();
  const mounts = new Map<string, Record<string, unknown>>();
  const dns: string[] = [];
  const users: unknown[] = [];
  const packages: Record<string, string> = {};
  const services: Record<string, string> = {};
  const time: Record<string, unknown> = {};
  const blocks: string[] = [];
  const links = new Map<string, string[]>();

  const readers: Record<string, (...fields: string[]) => void> = {
    os(id = '', version = '', name = '', codename = '', like = '') {
      const family = FAMILIES.find(([pattern]) => pattern.test(`${id} ${like}`))?.[1] ?? id;
      facts['os'] = { id, version, name, codename, family };
    },
    cpu(model = '', count = '') {
      facts['cpu'] = { model, count: Number(count) };
    },
    memory(key = '', kilobytes = '') {
      const name = {
        MemTotal: 'memory_bytes',
        MemAvailable: 'memory_available_bytes',
        SwapTotal: 'swap_bytes',
      }[key];
      if (name !== undefined) facts[name] = Number(kilobytes) * 1024;
    },
    interface(name = '', mac = '', mtu = '', state = '', model = '') {
      interfaces.set(name, { name, mac, mtu: Number(mtu), state, model, addresses: [] });
      facts['interfaces'] = [...interfaces.values()];
    },
    address(name = '', family = '', address = '') {
      const [ip = '', prefix = ''] = address.split('/');
      interfaces.get(name)?.addresses.push({
        address: ip,
        prefix: Number(prefix),
        family: family === 'inet' ? 'ipv4' : 'ipv6',
      });
    },
    route(line = '') {
      const after = (word: string): string => new RegExp(`\\b${word} (\\S+)`).exec(line)?.[1] ?? '';
      facts['default_route'] ??= { gateway: after('via'), interface: after('dev'), source: after('src') };
    },
    dns(address = '') {
      dns.push(address);
      facts['dns'] = dns;
    },
    mount(path = '', device = '', type = '', options = '') {
      const name = unescape(path);
      mounts.set(name, {
        path: name,
        device: unescape(device),
        type,
        is_read_only: options.split(',').includes('ro'),
      });
      facts['mounts'] = [...mounts.values()];
    },
    df(path = '', size = '', free = '') {
      const mount = mounts.get(path);
      if (mount !== undefined)
        Object.assign(mount, { size_bytes: Number(size) * 1024, free_bytes: Number(free) * 1024 });
    },
    epoch(seconds = '') {
      time['epoch'] = Number(seconds);
      facts['time'] = time;
    },
    uptime(line = '') {
      time['uptime_seconds'] = Math.floor(Number(line.split(' ')[0]));
    },
    clock(key = '', value = '') {
      if (key === 'Timezone') time['timezone'] = value;
      if (key === 'NTPSynchronized') time['ntp_synchronized'] = value === 'yes';
    },
    user(name = '', uid = '', gid = '', home = '', shell = '') {
      users.push({ name, uid: Number(uid), gid: Number(gid), home, shell });
      facts['users'] = users;
    },
    blocks() {
      facts['block_devices'] = blocks;
    },
    block(line = '') {
      blocks.push(line);
    },
    by_id(link = '', device = '') {
      links.set(device, [...(links.get(device) ?? []), link]);
    },
    package(status = '', name = '', version = '') {
      if (status === 'installed') packages[name] = version;
      facts['packages'] = packages;
    },
    service(unit = '', active = '') {
      services[unit.replace(/\.service$/, '')] = active;
      facts['services'] = services;
    },
  };
  for (const line of text.split('\n')) {
    const [key = '', ...fields] = line.split('\t');
    const read = Object.hasOwn(readers, key) ? readers[key] : undefined;
    if (read !== undefined) read(...fields);
    else if (key !== '' && fields.length > 0) facts[key] = fields.join('\t');
  }
  if (facts['block_devices'] !== undefined) facts['block_devices'] = blockDevices(blocks, links);
  return facts;
}
