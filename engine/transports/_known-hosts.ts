import { createHash, createHmac, randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Unreachable } from '../core/error.ts';
import { matchesHosts } from './_ssh-config.ts';

/** A line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) that speaks of a host. */
export interface KnownKey {
  readonly file: string;
  readonly line: number;
  readonly marker: 'revoked' | 'cert-authority' | undefined;
  readonly type: string;
  readonly key: Buffer;
}

/** `host`, or `[host]:port` where the port is not 22. */
export const knownName = (host: string, port: number): string => (port === 22 ? host : `[${host}]:${port}`);

/** As `ssh-keygen -l` shows it. */
export const fingerprint = (key: Buffer): string =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;

/** The type that a key blob says it is. */
export const keyType = (key: Buffer): string => key.subarray(4, 4 + key.readUInt32BE(0)).toString('latin1');

function speaksOf(field: string, name: string): boolean {
  if (!field.startsWith('|1|')) return matchesHosts(field.split(','), [name]);
  const [, , salt = '', hash = ''] = field.split('|');
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name.toLowerCase()).digest('base64') === hash;
}

/** All lines of the files that hold for a host; a file that is not there is empty. */
export function readKnownKeys(files: readonly string[], name: string): KnownKey[] {
  const found: KnownKey[] = [];
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch {
      continue;
    }
    for (const [i, line] of text.split('\n').entries()) {
      const parts = /^\s*(?:@(revoked|cert-authority)\s+)?([^\s#]\S*)\s+(\S+)\s+(\S+)/.exec(line);
      if (parts === null) continue;
      const [, marker, hosts = '', type = '', blob = ''] = parts;
      if (!speaksOf(hosts, name)) continue;
      found.push({
        file,
        line: i + 1,
        marker: marker as KnownKey['marker'],
        type,
        key: Buffer.from(blob, 'base64'),
      });
    }
  }
  return found;
}

/** Names of the signature algorithms by type of key, best first. */
const ALGORITHMS: readonly (readonly [string, readonly string[]])[] = [
  ['ssh-ed25519', ['ssh-ed25519']],
  ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
  ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
  ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
  ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256']],
];

/** What to ask the server for: first the types of which we know a key, as OpenSSH does. */
export function hostKeyAlgorithms(known: readonly KnownKey[]): string[] {
  const types = new Set(known.filter(({ marker }) => marker === undefined).map(({ type }) => type));
  const ordered = [...ALGORITHMS].sort(([a], [b]) => Number(types.has(b)) - Number(types.has(a)));
  return ordered.flatMap(([, names]) => names);
}

export interface Presented {
  /** The inventory's name of the host, for messages. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly key: Buffer;
  /** Where an operator would put a new key. */
  readonly files: readonly string[];
}

const placeOf = ({ file, line }: KnownKey): string => `${file}:${line}`;

/** Why the key that a server presented is not to be trusted; undefined when it is. */
export function refuseKey(
  { host, address, port, key, files }: Presented,
  known: readonly KnownKey[],
): Unreachable | undefined {
  const type = keyType(key);
  const shown = `${type} ${fingerprint(key)}`;
  const name = knownName(address, port);
  const same = known.filter((entry) => entry.key.equals(key));
  const revoked = same.find(({ marker }) => marker === 'revoked');
  if (revoked !== undefined) {
    return new Unreachable(
      host,
      'key-changed',
      `the key that ${host} presents (${shown}) is revoked by ${placeOf(revoked)}`,
      {
        hint: 'do not go on before you know why; the node needs a new host key',
      },
    );
  }
  if (same.some(({ marker }) => marker === undefined)) return undefined;

  const scan = `ssh-keyscan -t ${type.replace(/^ssh-|^ecdsa-.*$/, (all) => (all === 'ssh-' ? '' : 'ecdsa'))}${port === 22 ? '' : ` -p ${port}`} ${address} >> ${files[0] ?? '~/.ssh/known_hosts'}`;
  const changed = known.find((entry) => entry.marker === undefined && entry.type === type);
  if (changed !== undefined) {
    return new Unreachable(
      host,
      'key-changed',
      `the host key of ${host} has changed: ${name} presents ${shown}, but ${placeOf(changed)} holds ${fingerprint(changed.key)}`,
      {
        hint: `someone may be in between, or the node was installed anew; if so: ssh-keygen -R '${name}' -f ${changed.file} && ${scan}`,
      },
    );
  }
  const other = known.find(({ marker }) => marker === undefined);
  const authority = known.find(({ marker }) => marker === 'cert-authority');
  const more =
    other !== undefined
      ? `; ${placeOf(other)} holds a key of another type (${other.type}) for it`
      : authority !== undefined
        ? `; certificates of a host authority (${placeOf(authority)}) are not supported`
        : '';
  return new Unreachable(
    host,
    'key-unknown',
    `the host key of ${host} is not known: ${name} presents ${shown}${more}`,
    {
      hint: `compare the fingerprint on the node (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then: ${scan}`,
    },
  );
}

/** True where nothing is known of a host, so that its key is new and not another one. */
export const isNewHost = (known: readonly KnownKey[]): boolean => known.length === 0;

/** Writes the key of a new host down, as OpenSSH does with `StrictHostKeyChecking accept-new`. */
export function noteKey(file: string, name: string, key: Buffer, isHashed: boolean): void {
  const salt = randomBytes(20);
  const hash = createHmac('sha1', salt).update(name.toLowerCase()).digest('base64');
  const field = isHashed ? `|1|${salt.toString('base64')}|${hash}` : name;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  appendFileSync(file, `${field} ${keyType(key)} ${key.toString('base64')}\n`, { mode: 0o600 });
}
