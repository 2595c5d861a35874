import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Context } from '../../core/module.ts';
import { lastWords } from '../_sh.ts';

export const resourceName = z
  .string()
  .regex(/^[\w.][\w.-]*$/, 'letters, digits, `_`, `.` and `-`, which is not the first')
  .max(128)
  .describe('Resource, as its file in /etc/drbd.d names it');

export interface Volume {
  readonly volume: number;
  readonly minor: number;
  /** State of the disk: UpToDate, Inconsistent, Outdated, Diskless … */
  readonly disk: string;
  readonly sizeKb: number;
}

export interface PeerVolume {
  readonly volume: number;
  readonly disk: string;
  /** Established, SyncSource, SyncTarget, VerifyS, PausedSyncS, Off … */
  readonly replication: string;
  readonly outOfSyncKb: number;
}

/** One connection of a resource; DRBD 8.4 has no more. */
export interface Peer {
  readonly name: string;
  /** Connected, Connecting, StandAlone, Disconnecting … */
  readonly connection: string;
  readonly role: string;
  readonly volumes: readonly PeerVolume[];
}

/** A resource as the kernel has it. Both sides have to be read before a split brain is judged: it can show on one alone. */
export interface Resource {
  readonly name: string;
  readonly role: string;
  readonly isSuspended: boolean;
  readonly volumes: readonly Volume[];
  readonly peers: readonly Peer[];
}

/**
 * What `drbdsetup events2 --now --statistics` says (drbdsetup-events2(8)): the one structured form that the tools for 8.4
 * and 9 both have; sizes are in KiB.
 */
export function parseEvents(text: string): readonly Resource[] {
  const found = new Map<
    string,
    { resource: Resource; volumes: Volume[]; peers: (Peer & { volumes: PeerVolume[] })[] }
  >();
  for (const line of text.split('\n')) {
    const [event, kind = '', ...words] = line.trim().split(' ');
    if (event !== 'exists' || words.length === 0) continue;
    const fields = new Map(
      words.map((word) => [word.slice(0, word.indexOf(':')), word.slice(word.indexOf(':') + 1)]),
    );
    const text = (key: string): string => fields.get(key) ?? '';
    const number = (key: string): number => Number(fields.get(key) ?? 0);
    const name = text('name');
    if (kind === 'resource') {
      const [volumes, peers]: [Volume[], (Peer & { volumes: PeerVolume[] })[]] = [[], []];
      const isSuspended = !['', 'no'].includes(text('suspended'));
      found.set(name, {
        resource: { name, role: text('role'), isSuspended, volumes, peers },
        volumes,
        peers,
      });
    }
    const known = found.get(name);
    const peer = known?.peers.find((one) => one.name === text('conn-name'));
    if (kind === 'device')
      known?.volumes.push({
        ...{ volume: number('volume'), minor: number('minor') },
        ...{ disk: text('disk'), sizeKb: number('size') },
      });
    if (kind === 'connection')
      known?.peers.push({
        ...{ name: text('conn-name'), connection: text('connection'), role: text('role'), volumes: [] },
      });
    if (kind === 'peer-device')
      peer?.volumes.push({
        ...{ volume: number('volume'), disk: text('peer-disk'), replication: text('replication') },
        outOfSyncKb: number('out-of-sync'),
      });
  }
  return [...found.values()].map(({ resource }) => resource);
}

const READ = `[ -e /proc/drbd ] || exit 0
exec drbdsetup events2 --now --statistics`;

/** All resources that are up on the node. */
export async function readResources(ctx: Context): Promise<readonly Resource[]> {
  const said = await ctx.sh(READ, { isLook: true });
  if (said.code !== 0)
    throw new StepFailed(`The state of DRBD cannot be read: ${lastWords(said)}`, { ...said });
  return parseEvents(said.stdout);
}

export const readResource = async (ctx: Context, name: string): Promise<Resource | undefined> =>
  (await readResources(ctx)).find((one) => one.name === name);

/** Percent of a resource's data that is in step on both sides. */
export function percentOf({ volumes, peers }: Resource): number | undefined {
  const size = volumes.reduce((sum, { sizeKb }) => sum + sizeKb, 0);
  const [peer] = peers;
  if (size === 0 || peer === undefined) return undefined;
  const out = peer.volumes.reduce((sum, { outOfSyncKb }) => sum + outOfSyncKb, 0);
  return (100 * Math.max(0, size - out)) / size;
}

/** One line for an operator: `Secondary, disk Inconsistent; peer Connected, Primary, disk UpToDate, SyncTarget`. */
export function told({ role, volumes, peers }: Resource): string {
  const list = (words: readonly string[]): string => [...new Set(words)].join('/');
  const own = `${role}, disk ${list(volumes.map(({ disk }) => disk)) || 'none'}`;
  const others = peers.map(
    (peer) =>
      `peer ${peer.connection}, ${peer.role}, disk ${list(peer.volumes.map(({ disk }) => disk))}, ${list(peer.volumes.map(({ replication }) => replication))}`,
  );
  return [own, ...others].join('; ');
}

/** For `returns` of modules. */
export const zResource = {
  role: z.string().describe('Primary or Secondary'),
  disk: z.string().describe('State of the own disk: UpToDate, Inconsistent, …'),
  connection: z.string().describe('Connected, Connecting, StandAlone, …'),
  peer_role: z.string().describe("The peer's role, Unknown while it is not connected"),
  peer_disk: z.string().describe("State of the peer's disk, DUnknown while it is not connected"),
  replication: z.string().describe('Established, SyncSource, SyncTarget, Off, …'),
};

/** A resource as `register` gets it; of several volumes the worst state is told. */
export function resultOf(resource: Resource): Record<keyof typeof zResource, string> {
  const [peer] = resource.peers;
  const worst = (words: readonly string[], best: string): string =>
    words.find((word) => word !== best) ?? (words.length > 0 ? best : 'none');
  return {
    role: resource.role,
    disk: worst(
      resource.volumes.map(({ disk }) => disk),
      'UpToDate',
    ),
    connection: peer?.connection ?? 'none',
    peer_role: peer?.role ?? 'Unknown',
    peer_disk: worst(peer?.volumes.map(({ disk }) => disk) ?? [], 'UpToDate'),
    replication: worst(peer?.volumes.map(({ replication }) => replication) ?? [], 'Established'),
  };
}

/** Connected, with both disks whole and nothing left to copy. */
export const isInStep = (now: Resource): boolean => {
  const { disk, peer_disk: peer, replication } = resultOf(now);
  return disk === 'UpToDate' && peer === 'UpToDate' && replication === 'Established';
};
