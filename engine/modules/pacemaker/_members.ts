import { createHash } from 'node:crypto';
import type { Context } from '../../core/module.ts';
import { linesOf, must } from '../_sh.ts';

/** Where corosync and Pacemaker keep what their nodes have in common. */
export const CONFIG = '/etc/corosync/corosync.conf';
export const KEYS = { corosync: '/etc/corosync/authkey', pacemaker: '/etc/pacemaker/authkey' } as const;
export type KeyName = keyof typeof KEYS;

const LOOK = `
for unit in corosync pacemaker; do
  ! systemctl -q is-active "$unit" || echo "active $unit"
  ! systemctl -q is-enabled "$unit" 2>/dev/null || echo "enabled $unit"
done
cib=/var/lib/pacemaker/cib/cib.xml
! grep -qs '<primitive' $cib || echo "resources $(sed -n 's/.* name="cluster-name" value="\\([^"]*\\)".*/\\1/p' $cib)"
for key in "$@"; do [ ! -e "$key" ] || printf 'key %s %s\\n' "$key" "$(sha256sum <"$key")"; done
command -v corosync >/dev/null && command -v pacemakerd >/dev/null && echo installed
echo --
[ ! -e ${CONFIG} ] || cat ${CONFIG}
`;

/** A node of a cluster that is, or is to be. */
export interface Member {
  readonly name: string;
  readonly config: string | undefined;
  /** Undefined where there is no cluster to be lost; without nodes where there is one of which they are not known. */
  readonly identity: Identity | undefined;
  readonly keys: Readonly<Partial<Record<KeyName, string>>>;
  readonly active: readonly string[];
  readonly enabled: readonly string[];
  /** The cluster whose resources the node knows, be it stopped: a name, empty where it has none; undefined without any. */
  readonly resourcesOf: string | undefined;
  readonly isInstalled: boolean;
}

export interface Identity {
  readonly cluster: string;
  readonly nodes: readonly string[];
}

/** What a corosync.conf says of whose it is; undefined for the one that packages bring, of a node on its own. Without nodes
 * where it lists none: they find each other by multicast, or it is lost. */
export function identityOf(config: string): Identity | undefined {
  const text = config.replace(/^\s*#.*$/gm, '');
  const cluster = /^\s*cluster_name\s*:\s*(\S+)/m.exec(text)?.[1] ?? '';
  const nodes = [...text.matchAll(/^\s*node\s*\{([^}]*)\}/gm)].map(([, body = '']) => ({
    name: /^\s*name\s*:\s*(\S+)/m.exec(body)?.[1] ?? '',
    address: /^\s*ring0_addr\s*:\s*(\S+)/m.exec(body)?.[1] ?? '',
  }));
  if (nodes.length > 0 && nodes.every(({ address }) => address.startsWith('127.'))) return undefined;
  return { cluster, nodes: nodes.map(({ name, address }) => name || address).sort() };
}

export async function lookAt(ctx: Context, node: string): Promise<Member> {
  const there = ctx.on(node);
  const said = await must(there, `${node} cannot be looked at`, LOOK, {
    args: Object.values(KEYS),
    isLook: true,
  });
  const [head = '', ...rest] = said.split(/^--\n/m);
  const config = rest.join('--\n');
  const lines = linesOf(head).map((line) => line.split(' '));
  const of = (word: string): string[] =>
    lines.flatMap(([first, second]) => (first === word && second ? [second] : []));
  const keys = Object.entries(KEYS).flatMap(([name, path]) => {
    const line = lines.find(([first, file]) => first === 'key' && file === path);
    return line?.[2] === undefined ? [] : [[name, line[2]] as const];
  });
  const identity = identityOf(config);
  const active = of('active');
  const resources = lines.find(([first]) => first === 'resources');
  const resourcesOf = resources && (resources[1] ?? '');
  const isIdle = active.length === 0 && resourcesOf === undefined;
  return {
    name: node,
    config: config === '' ? undefined : config,
    identity: identity?.nodes.length === 0 && isIdle ? undefined : identity,
    keys: Object.fromEntries(keys),
    active,
    enabled: of('enabled'),
    resourcesOf,
    isInstalled: lines.some(([first]) => first === 'installed'),
  };
}

export const digestOf = (key: Uint8Array): string => createHash('sha256').update(key).digest('hex');

export const isRunning = ({ active }: Member): boolean =>
  active.includes('corosync') && active.includes('pacemaker');
