import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { DrillbookError } from '../core/error.ts';
import type { Connection } from '../core/host.ts';
import { expandHome } from './_ssh-config.ts';
import { readSshConfig } from './_ssh-settings.ts';
import type { KeyPolicy } from './_ssh-settings.ts';

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
  /** Certificates of the keys: they are told of, for the library knows none. */
  readonly certificateFiles: readonly string[];
  readonly agentSocket: string | undefined;
  /** The agent that commands on the host may use; undefined for none. */
  readonly forwardedAgent: string | undefined;
  /** Ways to log in, in this order; those left out are not tried. */
  readonly methods: readonly string[];
  /** The name that known_hosts has it under, where not the address. */
  readonly hostKeyAlias: string | undefined;
  readonly knownHosts: readonly string[];
  readonly keyPolicy: KeyPolicy;
  /** Names in known_hosts are written as hashes. */
  readonly isHashed: boolean;
  readonly connectTimeoutMs: number;
  /** A sign of life is asked for in this distance, and so often without an answer the link is dead. */
  readonly alive: { readonly everyMs: number; readonly count: number };
  /** A command whose input and output are the connection. */
  readonly proxyCommand: string | undefined;
  /** Servers on the way, first hop first. */
  readonly jumps: readonly string[];
}

/** Without word from ssh_config a dead link is noticed after two probes without an answer: 15 s at most. */
const ALIVE = { everyMs: 5000, count: 2 };
const METHODS = ['publickey', 'password', 'keyboard-interactive'];
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
  const { address, user, port, proxyJump, sshOptions = [] } = connection;
  const told = { HostName: address, User: user, Port: port, ProxyJump: proxyJump };
  const before = Object.entries(told).flatMap(([key, value]): [string, string][] =>
    value === undefined ? [] : [[key, String(value)]],
  );
  const config = readSshConfig(names, [...before, ...sshOptions], connection.sshConfig);
  const ssh = join(homedir(), '.ssh');
  const agentSocket = agentOf(config.identityAgent);
  // A file that keeps nothing would make every key a new one, each time.
  const userFiles = (config.userKnownHosts ?? []).filter((file) => file !== '/dev/null' && file !== 'none');
  const globalFiles = config.globalKnownHosts ?? ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2'];
  const chosen = [
    ...(connection.identityFile === undefined ? [] : [expandHome(connection.identityFile)]),
    ...config.identityFiles,
  ];
  return {
    host,
    address: config.hostName ?? host,
    port: config.port ?? 22,
    user: config.user ?? userInfo().username,
    password: connection.password,
    passphrase: connection.passphrase,
    identityFiles: chosen.length > 0 ? [...new Set(chosen)] : DEFAULT_KEYS.map((name) => join(ssh, name)),
    isChosen: chosen.length > 0,
    isIdentitiesOnly: config.isIdentitiesOnly,
    certificateFiles: config.certificateFiles,
    agentSocket,
    forwardedAgent: config.forwardAgent === 'yes' ? agentSocket : config.forwardAgent,
    methods: (config.methods ?? METHODS).filter((method) => !config.without.includes(method)),
    hostKeyAlias: config.hostKeyAlias,
    knownHosts:
      connection.knownHosts !== undefined
        ? [expandHome(connection.knownHosts)]
        : [
            ...(userFiles.length > 0 ? userFiles : [join(ssh, 'known_hosts'), join(ssh, 'known_hosts2')]),
            ...globalFiles,
          ],
    keyPolicy: config.keyPolicy,
    isHashed: config.isHashed,
    connectTimeoutMs: connection.connectTimeoutMs ?? config.connectTimeoutMs ?? 10_000,
    alive: config.aliveMs ? { everyMs: config.aliveMs, count: config.aliveCount ?? 3 } : ALIVE,
    proxyCommand: config.proxyCommand,
    jumps: jumpsOf(config.proxyJump),
  };
}

/** Options of the host behind that hold for the hops too; the others are its own. */
const OF_ALL_HOPS = ['stricthostkeychecking', 'userknownhostsfile', 'globalknownhostsfile', 'hashknownhosts'];

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
    sshOptions: behind.sshOptions?.filter(([key]) => OF_ALL_HOPS.includes(key.toLowerCase())),
    connectTimeoutMs: behind.connectTimeoutMs,
  });
  if (behind.knownHosts === undefined) return target;
  return { ...target, knownHosts: [expandHome(behind.knownHosts), ...target.knownHosts] };
}
