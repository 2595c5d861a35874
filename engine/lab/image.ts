import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import { cached } from './cache.ts';
import type { CacheOptions } from './cache.ts';
import { furnish, FURNITURE } from './furnish.ts';
import { execute, guarded } from './program.ts';
import type { Database } from './state.ts';

export interface Recipe {
  readonly suite: string;
  readonly packages: readonly string[];
  /** Not installed: laid into the image as a repository that apt has there. */
  readonly repository?: readonly string[];
  /** More for sshd. */
  readonly sshd?: string;
  /** Units that do not start when a node boots. */
  readonly disabled?: readonly string[];
}

/** An image by what is in it: a database server, or a cluster of Pacemaker and DRBD, to be installed or there already. */
export type ImageName = Database | 'cluster' | 'installed';

const COMMON = [
  ...['systemd', 'systemd-sysv', 'dbus', 'openssh-server', 'sudo', 'python3', 'curl', 'rsync', 'cron'],
  ...['iproute2', 'iputils-ping', 'procps', 'psmisc', 'nftables', 'keepalived', 'systemd-timesyncd'],
  ...['ca-certificates', 'openssl', 'lsof', 'less'],
];

const OF_CLUSTER = [
  ...COMMON,
  ...['udev', 'kmod', 'e2fsprogs', 'xfsprogs', 'parted', 'mariadb-server-core', 'mariadb-client-core'],
];
const CLUSTER = [
  ...['drbd-utils', 'pacemaker', 'pacemaker-cli-utils', 'corosync', 'corosync-qdevice', 'corosync-qnetd'],
  ...['pcs', 'resource-agents'],
];

/** Debian has MySQL in sid alone, and MariaDB 10.11 in bookworm. */
const RECIPES: Readonly<Record<ImageName, Recipe>> = {
  mariadb: { suite: 'bookworm', packages: [...COMMON, 'mariadb-server', 'mariadb-client', 'mariadb-backup'] },
  mysql: {
    suite: 'sid',
    packages: [...COMMON, 'mysql-server', 'mysql-client'],
    // From 9.8 on it shuts out whoever breaks off connections often, as tests do.
    sshd: 'PerSourcePenalties no\n',
  },
  cluster: { suite: 'bookworm', packages: OF_CLUSTER, repository: CLUSTER },
  installed: {
    suite: 'bookworm',
    packages: [...OF_CLUSTER, ...CLUSTER],
    // Debian starts a cluster of the node alone.
    disabled: ['corosync', 'corosync-qdevice', 'corosync-qnetd', 'pacemaker', 'pcsd', 'pcsd-ruby', 'drbd'],
  },
};

const FOLDER = '/var/lib/lab/packages';

/** Lays LAB_PACKAGES into the tree $1 as a repository, with all they need that is not installed there. */
const LAY = `#!/bin/sh -eu
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
apt-get -qq -y --download-only install $LAB_PACKAGES >&2
mkdir -p "$root${FOLDER}"
mv "$root"/var/cache/apt/archives/*.deb "$root${FOLDER}"
cd "$root${FOLDER}"
for deb in *.deb; do
  dpkg-deb -f "$deb"
  printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d' ' -f1)"
done >Packages
`;
/** The only source of packages that a node has, for it reaches no other. */
const SOURCE = `deb [trusted=yes] file:${FOLDER} ./\n`;

const OPTIONS = [
  ...['--quiet', '--mode=root', '--format=directory'],
  '--aptopt=APT::Install-Recommends "false"',
  '--aptopt=Acquire::Check-Valid-Until "false"',
  '--aptopt=Acquire::Retries "3"',
  '--dpkgopt=force-unsafe-io',
  ...['doc', 'man', 'info', 'locale'].map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`),
];

/** Folder of a base image: from the cache, or built now (about a minute), once for all processes. */
export function ensureImage(name: ImageName, options: CacheOptions): Promise<string> {
  const recipe = RECIPES[name];
  return cached(name, [recipe, OPTIONS, FURNITURE, LAY, SOURCE], options, async (folder) => {
    options.onProgress(
      `building the image ${name}: Debian ${recipe.suite} with ${recipe.packages.at(-2) ?? ''}`,
    );
    await makeTree(recipe, 'important', folder, options.signal);
    await furnish(folder, recipe);
    if (recipe.repository) await writeFile(join(folder, 'etc/apt/sources.list'), SOURCE);
  });
}

/** Fills a folder with a Debian tree; variant `extract` unpacks packages and sets up none. */
export async function makeTree(
  { suite, packages, repository }: Recipe,
  variant: 'important' | 'extract',
  folder: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const scratch = `${folder}.tmp`;
  const lay = join(scratch, 'lay');
  await writeFile(lay, LAY, { mode: 0o755 });
  const how = [
    `--variant=${variant}`,
    `--include=${packages.join(',')}`,
    ...(repository ? [`--customize-hook=${lay}`] : []),
  ];
  const source = `deb ${await findMirror()} ${suite} main`;
  const env = { ...(await proxy()), TMPDIR: scratch, LAB_PACKAGES: repository?.join(' ') ?? '' };
  await guarded(['mmdebstrap', ...OPTIONS, ...how, suite, folder, source], { signal, env });
}

/** The Debian mirror that this machine uses itself. */
async function findMirror(): Promise<string> {
  const set = process.env['DRILLBOOK_MIRROR'];
  if (set !== undefined && set !== '') return set;
  const format = '$(REPO_URI) $(ORIGIN) $(LABEL)';
  const { stdout } = await execute('apt-get', ['indextargets', '--format', format]);
  const targets = stdout.split('\n').map((line) => line.split(' '));
  // Origin and label are known only where `apt-get update` has run.
  const found =
    targets.find(([, origin, label]) => origin === 'Debian' && label === 'Debian') ??
    targets.find(([uri]) => uri !== undefined && /\/debian\/?$/.test(uri));
  if (found?.[0] !== undefined) return found[0];
  throw new DrillbookError('lab.mirror', 'this machine has no Debian mirror among its apt sources', {
    hint: 'name one in DRILLBOOK_MIRROR',
  });
}

/** mmdebstrap does not read the proxy of this machine's apt. */
async function proxy(): Promise<Record<string, string>> {
  const { stdout } = await execute('apt-config', ['dump', '--format', '%v', 'Acquire::http::Proxy']);
  return /^https?:/.test(stdout) ? { http_proxy: stdout.trim() } : {};
}
