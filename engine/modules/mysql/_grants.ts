/** What an account may do on one object, as SHOW GRANTS says it. */
export interface Grant {
  /** `*.*`, `dbackup3.*`, `dbackup3.jobs`; backquotes taken out. */
  readonly on: string;
  /** Upper case, in the spelling of the newer servers; `ALL PRIVILEGES` for all. */
  readonly privileges: ReadonlySet<string>;
  readonly hasGrantOption: boolean;
}

/** The same privilege under other names; MariaDB renamed some in 10.5 and reports the new name. */
const ALIASES: Readonly<Record<string, string>> = {
  ALL: 'ALL PRIVILEGES',
  'BINLOG MONITOR': 'REPLICATION CLIENT',
  'REPLICATION REPLICA': 'REPLICATION SLAVE',
  'REPLICA MONITOR': 'SLAVE MONITOR',
  'REPLICATION REPLICA ADMIN': 'REPLICATION SLAVE ADMIN',
  'DELETE VERSIONING ROWS': 'DELETE HISTORY',
};

export const privilegeName = (text: string): string => {
  const name = text.trim().replace(/\s+/g, ' ').toUpperCase();
  return ALIASES[name] ?? name;
};

export const objectName = (text: string): string => text.replaceAll('`', '').replaceAll('\\_', '_').trim();

/** Lines of SHOW GRANTS; roles and proxies are left aside. Several lines on one object become one grant. */
export function parseGrants(lines: readonly string[]): readonly Grant[] {
  const found = new Map<string, { privileges: Set<string>; hasGrantOption: boolean }>();
  for (const line of lines) {
    const match =
      /^GRANT (.+?) ON (?:(?:TABLE|FUNCTION|PROCEDURE) )?(`[^`]*`|\*)\.(`[^`]*`|\*) TO (.*)$/is.exec(line);
    if (match === null) continue;
    const on = objectName(`${match[2] ?? ''}.${match[3] ?? ''}`);
    const grant = found.get(on) ?? { privileges: new Set<string>(), hasGrantOption: false };
    for (const part of (match[1] ?? '').split(/,(?![^(]*\))/)) grant.privileges.add(privilegeName(part));
    grant.privileges.delete('USAGE');
    grant.hasGrantOption ||= /WITH .*GRANT OPTION/i.test(match[4] ?? '');
    found.set(on, grant);
  }
  return [...found]
    .map(([on, grant]) => ({ on, ...grant }))
    .filter(({ privileges, hasGrantOption }) => privileges.size > 0 || hasGrantOption);
}
