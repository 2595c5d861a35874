import type { Cluster } from '../../core/host.ts';

/** Networks of a pair as a fault needs them: per heartbeat the node's own address and its peer's, and the VIPs. */
export interface Networks {
  readonly beats: readonly { readonly own: string; readonly peer: string }[];
  readonly vips: readonly string[];
}

interface Settings {
  readonly heartbeats?: readonly { readonly addresses: Readonly<Record<string, string>> }[];
  readonly corosync?: { readonly links?: readonly Readonly<Record<string, string>>[] };
  readonly vips?: readonly { readonly address: string }[];
  readonly vip?: { readonly address: string };
}

/** Heartbeats and VIPs as the settings of any stack have them. */
export function networksOf(cluster: Cluster, node: string): Networks {
  const settings = cluster.settings as Settings;
  const links = settings.heartbeats?.map(({ addresses }) => addresses) ?? settings.corosync?.links ?? [];
  const peer = cluster.nodes.find((name) => name !== node) ?? '';
  const beats = links.flatMap((addresses) => {
    const [own, other] = [addresses[node], addresses[peer]];
    return own === undefined || other === undefined ? [] : [{ own, peer: other }];
  });
  const vips = [...(settings.vips ?? []), ...(settings.vip ? [settings.vip] : [])];
  return { beats, vips: vips.map(({ address }) => address) };
}
