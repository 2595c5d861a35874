/** What `hactl status` says. */
export interface Hactl {
  /** Whether the node knows of a cluster (ha.info is there). */
  readonly isInCluster: boolean;
  readonly role: 'primary' | 'standby' | 'unknown';
  readonly failover: 'enabled' | 'disabled' | 'unknown';
  /** Key → value of every line, keys as printed. */
  readonly fields: Readonly<Record<string, string>>;
  readonly problems: readonly string[];
}

/** Reads the output of `hactl status`. */
export function parseHactl(output: string): Hactl {
  const fields: Record<string, string> = {};
  const problems: string[] = [];
  for (const line of output.split('\n')) {
    const match = /^([\w .:/-]+?):\s+(.*?)\s*$/.exec(line);
    if (match === null) continue;
    const [, key = '', value = ''] = match;
    if (key === 'problem') problems.push(value);
    else if (!(key in fields)) fields[key] = value;
  }
  const role = (fields['role'] ?? '').toLowerCase();
  const failover = fields['failover'];
  return {
    isInCluster: fields['role'] !== undefined,
    role: role === 'primary' || role === 'standby' ? role : 'unknown',
    failover: failover === 'enabled' || failover === 'disabled' ? failover : 'unknown',
    fields,
    problems,
  };
}
