import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import type { Connection } from '../core/host.ts';
import { expandHome, readSshConfig } from './_ssh-config.ts';

/** All that is needed to reach one server, from the inventory, ssh_config and ssh's defaults, in this order. */
export interface Target {
  /** Its name in messages. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly passphrase: string | undefined;
  /** Tried in this order; `isChosen` when someone named them, else they are ssh's defaults. */
  readonly identityFiles: readonly string[];
  readonly isChosen: boolean;
  readonly isIdentitiesOnly: boolean;
  readonly agentSocket: string | undefined;
  /** The name that known_hosts has it under, where not the address. */
  readonly hostKeyAlias: string | undefined;
  readonly knownHosts: readonly string[];
  readonly connectTimeoutMs: number;
  /** Servers on the way, first hop first. */
  readonly jumps: readonly string[];
}

const DEFAULT_KEYS = ['id_ed25519', 'id_ecdsa', 'id_rsa'];

const jumpsOf = (spec: string | undefined): string[] =>
  spec === undefined || spec.toLowerCase() === 'none' ? [] : spec.split(',').map((jump) => jump.trim());

function agentOf(setting: string | undefined): string | undefined {
  if (setting === undefined || setting === 'SSH_AUTH_SOCK') return process.env['SSH_AUTH_SOCK'] || undefined;
  if (setting === 'none') return undefined;
  return setting.startsWith('$') ? process.env[setting.slice(1)] : expandHome(setting);
}

/** Where to go for a host of the inventory. */
export function resolveTarget(host: string, connection: Connection): Target {
  const names = connection.address === undefined ? [host] : [host, connection.address];
  const config = readSshConfig(names, {
    file: connection.sshConfig,
    user: connection.user,
    port: connection.port,
  });
  const ssh = join(homedir(), '.ssh');
  const chosen = [
    ...(connection.identityFile === undefined ? [] : [expandHome(connection.identityFile)]),
    ...config.identityFiles,
  ];
  return {
    host,
    address: connection.address ?? config.hostName ?? host,
    port: connection.port ?? config.port ?? 22,
    user: connection.user ?? config.user ?? userInfo().username,
    password: connection.password,
    passphrase: connection.passphrase,
    identityFiles: chosen.length > 0 ? [...new Set(chosen)] : DEFAULT_KEYS.map((name) => join(ssh, name)),
    isChosen: chosen.length > 0,
    isIdentitiesOnly: config.isIdentitiesOnly,
    agentSocket: agentOf(config.identityAgent),
    hostKeyAlias: config.hostKeyAlias,
    knownHosts:
      connection.knownHosts !== undefined
        ? [expandHome(connection.knownHosts)]
        : [
            ...(config.userKnownHosts ?? [join(ssh, 'known_hosts'), join(ssh, 'known_hosts2')]),
            ...(config.globalKnownHosts ?? ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2']),
          ],
    connectTimeoutMs: connection.connectTimeoutMs ?? config.connectTimeoutMs ?? 10_000,
    jumps: jumpsOf(connection.proxyJump ?? config.proxyJump),
  };
}

/** Where to go for a hop (`[user@]host[:port]`); the key and known_hosts of the host behind it serve here too. */
export function resolveJump(spec: string, behind: Connection): Target {
  const parts = /^(?:ssh:\/\/)?(?:([^@]+)@)?(\[[^\]]+\]|[^:]+)(?::(\d+))?\/?$/.exec(spec);
  if (parts === null) {
    throw new DrillbookError('usage.proxy-jump', `\`${spec}\` is not a jump host`, {
      hint: 'write [user@]host[:port]',
    });
  }
  const [, user, host = '', port] = parts;
  const target = resolveTarget(host.replace(/^\[|\]$/g, ''), {
    transport: 'ssh',
    user,
    port: port === undefined ? undefined : Number(port),
    identityFile: behind.identityFile,
    passphrase: behind.passphrase,
    sshConfig: behind.sshConfig,
    connectTimeoutMs: behind.connectTimeoutMs,
  });
  if (behind.knownHosts === undefined) return target;
  return { ...target, knownHosts: [expandHome(behind.knownHosts), ...target.knownHosts] };
}
