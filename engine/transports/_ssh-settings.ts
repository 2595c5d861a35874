import { expandHome, expandTokens, lettersOf, readConfig } from './_ssh-config.ts';
import type { Values } from './_ssh-config.ts';

/** How host keys are taken: only known ones, or new ones too and noted down. A changed one is refused in any case. */
export type KeyPolicy = 'known' | 'accept-new';

/** What ssh_config says of a host, in the engine's own terms; unset where it says nothing. */
export interface SshSettings {
  readonly hostName: string | undefined;
  readonly user: string | undefined;
  readonly port: number | undefined;
  readonly identityFiles: readonly string[];
  readonly certificateFiles: readonly string[];
  readonly isIdentitiesOnly: boolean;
  readonly identityAgent: string | undefined;
  /** `yes`, or a socket of an agent; undefined where nothing is forwarded. */
  readonly forwardAgent: string | undefined;
  readonly proxyJump: string | undefined;
  readonly proxyCommand: string | undefined;
  readonly hostKeyAlias: string | undefined;
  readonly userKnownHosts: readonly string[] | undefined;
  readonly globalKnownHosts: readonly string[] | undefined;
  readonly isHashed: boolean;
  readonly keyPolicy: KeyPolicy;
  readonly connectTimeoutMs: number | undefined;
  readonly aliveMs: number | undefined;
  readonly aliveCount: number | undefined;
  /** Names of ways to log in, in this order; undefined for ssh's own. */
  readonly methods: readonly string[] | undefined;
  /** Ways that are switched off. */
  readonly without: readonly string[];
}

const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** `90`, `1m30s`: in milliseconds. */
function durationMs(text: string | undefined): number | undefined {
  if (text === undefined || !/^(?:\d+[smhdw]?)+$/i.test(text)) return undefined;
  const parts = [...text.toLowerCase().matchAll(/(\d+)([smhdw]?)/g)];
  return 1000 * parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (UNITS[unit] ?? 1), 0);
}

const isNo = (text: string | undefined): boolean => /^(?:no|false)$/i.test(text ?? '');
const isYes = (text: string | undefined): boolean => /^(?:yes|true)$/i.test(text ?? '');

/** `${NAME}` of the environment. */
const withEnvironment = (text: string): string =>
  text.replace(/\$\{(\w+)\}/g, (all, name: string) => process.env[name] ?? all);

const SWITCHES: readonly (readonly [string, string])[] = [
  ['pubkeyauthentication', 'publickey'],
  ['passwordauthentication', 'password'],
  ['kbdinteractiveauthentication', 'keyboard-interactive'],
  ['challengeresponseauthentication', 'keyboard-interactive'],
];

/** What holds for a host; `address` is where it is, when the inventory says so. */
export function settingsOf(names: readonly string[], values: Values): SshSettings {
  const first = (key: string): string | undefined => values.get(key)?.[0];
  const number = (text: string | undefined): number | undefined =>
    text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined;
  const [name = ''] = names;
  const told = first('hostname');
  const hostName = told === undefined ? undefined : expandTokens(told, { h: name });
  const letters = lettersOf(names, values, hostName ?? name);
  const path = (text: string): string => expandHome(expandTokens(withEnvironment(text), letters));
  const paths = (key: string): string[] =>
    (values.get(key) ?? []).filter((one) => one.toLowerCase() !== 'none').map(path);
  const forward = first('forwardagent');
  const agent = first('identityagent');
  const command = first('proxycommand');
  const strict = first('stricthostkeychecking')?.toLowerCase() ?? 'ask';
  return {
    hostName,
    user: first('user'),
    port: number(first('port')),
    identityFiles: paths('identityfile'),
    certificateFiles: paths('certificatefile'),
    isIdentitiesOnly: isYes(first('identitiesonly')),
    identityAgent: agent === undefined || /^(?:none|SSH_AUTH_SOCK|\$\w+)$/.test(agent) ? agent : path(agent),
    forwardAgent:
      forward === undefined || isNo(forward)
        ? undefined
        : isYes(forward)
          ? 'yes'
          : forward.startsWith('$')
            ? process.env[forward.slice(1)]
            : path(forward),
    proxyJump: first('proxyjump'),
    proxyCommand:
      command === undefined || command.toLowerCase() === 'none' ? undefined : expandTokens(command, letters),
    hostKeyAlias: first('hostkeyalias'),
    userKnownHosts: values.get('userknownhostsfile')?.map(path),
    globalKnownHosts: values.get('globalknownhostsfile')?.map(path),
    isHashed: isYes(first('hashknownhosts')),
    keyPolicy: ['no', 'off', 'false', 'accept-new'].includes(strict) ? 'accept-new' : 'known',
    connectTimeoutMs: durationMs(first('connecttimeout')),
    aliveMs: durationMs(first('serveraliveinterval')),
    aliveCount: number(first('serveralivecountmax')),
    methods: first('preferredauthentications')?.split(','),
    without: SWITCHES.filter(([key]) => isNo(first(key))).map(([, method]) => method),
  };
}

/** The same, read from the files. */
export const readSshConfig = (
  names: readonly string[],
  before: readonly (readonly [string, string])[] = [],
  file?: string,
): SshSettings => settingsOf(names, readConfig(names, before, file));
