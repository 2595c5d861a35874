/** What an HA pair looks like, read on its nodes; the shape of `status --output json` (docs/contract). */
export type Role = 'primary' | 'standby' | 'free' | 'unknown';
/** What a step may be bound to: it is refused where the witnesses of its host do not agree with it. */
export type BoundRole = 'primary' | 'standby' | 'not_primary';
export type ClusterState = 'running' | 'stopped' | 'degraded' | 'error' | 'unknown';

export interface NodeStatus {
  readonly name: string;
  readonly address: string;
  readonly online: boolean;
  /** The role on which the witnesses agree; `unknown` where they do not. */
  readonly role: Role;
  /** What each witness says of this node: read_only, replication, vip, keepalived, hactl, … */
  readonly witnesses: Readonly<Record<string, string>>;
  readonly services: Readonly<Record<string, string>>;
}

export interface ReplicationStatus {
  readonly kind: 'mysql' | 'drbd';
  readonly state: string;
  readonly lagSeconds: number | null;
  readonly percent: number | null;
}

export interface VipStatus {
  readonly address: string;
  /** Names of the nodes that have the address on a link now. */
  readonly holders: readonly string[];
}

export interface HeartbeatStatus {
  readonly from: string;
  readonly to: string;
  readonly state: 'ok' | 'failed' | 'untested';
}

export interface ClusterProblem {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** Something of a pair that a run may bend, and whether it is bent now. What cannot be told has none. */
export interface Bend {
  /** `NAME@WHERE`, as obligations are called. */
  readonly obligation: string;
  readonly isBent: boolean;
  /** What is bent, in words. */
  readonly message: string;
}

export interface ClusterStatus {
  readonly cluster: string;
  readonly stack: string;
  readonly state: ClusterState;
  readonly nodes: readonly NodeStatus[];
  readonly replication: ReplicationStatus;
  readonly vips: readonly VipStatus[];
  readonly heartbeats: readonly HeartbeatStatus[];
  readonly arbitration: Readonly<Record<string, unknown>>;
  readonly problems: readonly ClusterProblem[];
}

/** What a node is like at one moment, as a look of some milliseconds tells. */
export interface Glance {
  readonly role: Role;
  /** Its database takes writes. */
  readonly isWritable: boolean;
  /** VIPs that it has on a link. */
  readonly vips: readonly string[];
  /** normal, disconnected, broken, absent, unknown. */
  readonly replication: string;
  readonly lagSeconds: number | null;
}

/** A script that looks at its node several times a second, and prints a line for each look. */
export interface Watch {
  readonly script: string;
  readonly args: readonly string[];
  readonly stdin: string;
  read(line: string): Glance | undefined;
}
