import type { Server, Version } from './_connect.ts';

/** The two halves of semi-synchronous replication as a server calls them. */
export interface SemiSyncWords {
  readonly source: string;
  readonly replica: string;
  /** Plugin → its library; none where it is built in. */
  readonly plugins: Readonly<Record<string, string>>;
}

/** MySQL renamed both in 8.0.26; MariaDB has had them built in since 10.3. */
export function semiSyncWords({ flavour, number }: Version): SemiSyncWords {
  const isNew = flavour === 'mysql' && number >= 80026;
  const [source, replica] = isNew ? ['source', 'replica'] : ['master', 'slave'];
  const name = (half: string): string => `rpl_semi_sync_${half}`;
  const plugins =
    flavour === 'mariadb'
      ? {}
      : { [name(source)]: `semisync_${source}.so`, [name(replica)]: `semisync_${replica}.so` };
  return { source: name(source), replica: name(replica), plugins };
}

/** Variables that make it so. Where the standby is known to be away, and at a takeover, nothing waits for it. */
export const semiSyncVariables = (
  { source, replica }: SemiSyncWords,
  isOn: boolean,
  timeoutMs: number,
): Readonly<Record<string, string>> =>
  isOn
    ? {
        [`${source}_timeout`]: String(timeoutMs),
        // AFTER_COMMIT, MariaDB's own, shows rows to others that a power failure may still take away.
        [`${source}_wait_point`]: 'AFTER_SYNC',
        [`${source}_wait_no_${replica.slice('rpl_semi_sync_'.length)}`]: 'OFF',
        [`${source}_enabled`]: 'ON',
        [`${replica}_enabled`]: 'ON',
      }
    : { [`${source}_enabled`]: 'OFF', [`${replica}_enabled`]: 'OFF' };

/** Name → value of what `SHOW GLOBAL VARIABLES` or `STATUS` has of it, names in small letters. */
export async function semiSyncShown(
  { rows }: Server,
  what: 'VARIABLES' | 'STATUS',
): Promise<ReadonlyMap<string, string>> {
  const shown = await rows(`SHOW GLOBAL ${what} LIKE 'rpl_semi_sync%'`);
  return new Map(shown.map((row) => [String(row['Variable_name']).toLowerCase(), String(row['Value'])]));
}
