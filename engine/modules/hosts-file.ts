import { isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { state } from '../core/module.ts';
import { applyEdit, checkEdit } from './_edit.ts';
import type { Edit } from './_edit.ts';
import { fileParams, returnsOfFile, zPath } from './_file.ts';

const NAME = /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/i;

const zNames = z
  .union([z.string(), z.array(z.string())])
  .transform((names) => (typeof names === 'string' ? names.split(/\s+/).filter(Boolean) : names))
  .refine((names) => names.length > 0 && names.every((name) => NAME.test(name)), {
    error: 'must be names of hosts: letters, digits, `.`, `-`, `_`',
  });

/** One spelling of an address, so that two can be compared. */
const canonical = (address: string): string =>
  isIPv6(address) && !address.includes('%')
    ? new URL(`http://[${address}]`).hostname.slice(1, -1)
    : address.toLowerCase();

const isLoopback = (address: string): boolean => /^127\./.test(address) || canonical(address) === '::1';
const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

type Entries = Readonly<Record<string, readonly string[]>>;

/** `name: address` as well, the way inventories have them. */
function byAddress(entries: Entries): Entries {
  const turned: Record<string, readonly string[]> = {};
  for (const [key, values] of Object.entries(entries)) {
    const [address = ''] = values;
    const isName =
      !isIPv4(key) && !isIPv6(key) && values.length === 1 && (isIPv4(address) || isIPv6(address));
    const [at, names] = isName ? [address, [key]] : [key, values];
    turned[at] = [...(turned[at] ?? []), ...names];
  }
  return turned;
}

/** A name has one address of each family; an address stands once. */
function problemsOf(entries: Entries): string[] {
  const addresses = new Set<string>();
  const names = new Set<string>();
  return Object.entries(entries).flatMap(([address, own]) => {
    if (!isIPv4(address) && !isIPv6(address)) return [`\`${address}\` is no IP address`];
    const problems = addresses.has(canonical(address)) ? [`${address} is given twice`] : [];
    addresses.add(canonical(address));
    for (const name of own) {
      const key = `${isIPv4(address) ? 4 : 6} ${name.toLowerCase()}`;
      if (names.has(key)) problems.push(`${name} is given twice`);
      names.add(key);
      if (same(name, 'localhost') && !isLoopback(address))
        problems.push(`localhost is this node itself, not ${address}`);
    }
    return problems;
  });
}

const params = z
  .strictObject({
    entries: z
      .record(z.string(), zNames)
      .transform(byAddress)
      .describe(
        'address: its names, a list or one text with blanks between; where a line is made the first one is the main one. Or name: its address.',
      ),
    state: z
      .enum(['present', 'absent'])
      .default('present')
      .describe(
        'present: these names have these addresses and no other of their kind (IPv4, IPv6); absent: not these (default present).',
      ),
    path: zPath.default('/etc/hosts').describe('The file (default /etc/hosts).'),
    ...fileParams,
  })
  .check(({ value, issues }) => {
    for (const message of problemsOf(value.entries))
      issues.push({ code: 'custom', message, path: ['entries'], input: value.entries });
  });

type Given = z.output<typeof params>;

/** What stands before the names, the names, and what follows them. */
const LINE = /^(\s*([^\s#]+)\s+)([^\s#][^#]*?)(\s*(?:#.*)?)$/;

function namesIn(line: string): { readonly address: string; readonly names: readonly string[] } | undefined {
  const [, , address = '', names = ''] = LINE.exec(line) ?? [];
  return isIPv4(address) || isIPv6(address) ? { address, names: names.split(/\s+/) } : undefined;
}

/** The line with other names; none where none are left. */
const withNames = (line: string, names: readonly string[]): string[] =>
  names.length === 0
    ? []
    : [line.replace(LINE, (_, head: string, __, ___, tail: string) => head + names.join(' ') + tail)];

const has = (names: readonly string[], name: string): boolean => names.some((one) => same(one, name));

/** Takes the names off every line of whose address it `isWrong`. */
const without = (
  lines: readonly string[],
  names: readonly string[],
  isWrong: (address: string) => boolean,
): string[] =>
  lines.flatMap((line) => {
    const now = namesIn(line);
    if (!now || !isWrong(now.address)) return line;
    const left = now.names.filter((name) => !has(names, name));
    return left.length === now.names.length ? line : withNames(line, left);
  });

/** Puts those of the names that no line of the address has onto its first line, or onto a new one. */
function including(lines: readonly string[], address: string, names: readonly string[]): string[] {
  const found = lines.map(namesIn);
  const isOurs = (now: ReturnType<typeof namesIn>): boolean =>
    now !== undefined && canonical(now.address) === canonical(address);
  const there = found.filter(isOurs).flatMap((now) => now?.names ?? []);
  const missing = names.filter((name) => !has(there, name));
  if (missing.length === 0) return [...lines];
  const at = found.findIndex(isOurs);
  const now = found[at];
  if (!now) return [...lines, `${address}\t${missing.join(' ')}`];
  return lines.toSpliced(at, 1, ...withNames(lines[at] ?? '', [...now.names, ...missing]));
}

const editOf =
  ({ entries, state: wanted }: Given): Edit =>
  (lines) =>
    Object.entries(entries).reduce<readonly string[]>((now, [address, names]) => {
      const isThis = (other: string): boolean => canonical(other) === canonical(address);
      if (wanted === 'absent') return without(now, names, isThis);
      const isOther = (other: string): boolean => isIPv4(other) === isIPv4(address) && !isThis(other);
      return including(without(now, names, isOther), address, names);
    }, lines);

/** A file that is not there is made. */
const making = (given: Given) => ({ ...given, create: true });

export default state({
  summary:
    'Names of hosts and their addresses in /etc/hosts; an older address of a name goes, all else stays.',
  source: 'hosts(5)',
  params,
  examples: `
- name: The nodes know each other
  hosts_file:
    entries: { 10.0.0.11: ha-node01, 10.0.0.12: [ha-node02, ha-node02.example.com] }
- hosts_file: { entries: { 10.0.0.9: old-node }, state: absent }
`,
  returns: returnsOfFile,
  check: (ctx, given) => checkEdit(ctx, making(given), editOf(given), given.state === 'absent'),
  apply: (ctx, given, found) => applyEdit(ctx, making(given), editOf(given), found),
});
