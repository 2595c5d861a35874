import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Duplex } from 'node:stream';
import type { Client, ConnectConfig } from 'ssh2';
import { Unreachable } from '../core/error.ts';
import {
  hostKeyAlgorithms,
  isNewHost,
  knownName,
  noteKey,
  readKnownKeys,
  refuseKey,
} from './_known-hosts.ts';
import { commandStream } from './_proxy-command.ts';
import { makeLogin } from './_ssh-auth.ts';
import type { LoginTools } from './_ssh-auth.ts';
import { stopwatch } from './_stopwatch.ts';
import type { Target } from './_target.ts';

/** Handshakes at a time: they are what costs CPU, here and on a jump host in between. */
const HANDSHAKES = 16;
let running = 0;
const queue: (() => void)[] = [];

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= HANDSHAKES) await new Promise<void>((resolve) => queue.push(resolve));
  else running++;
  try {
    return await work();
  } finally {
    const next = queue.shift();
    if (next === undefined) running--;
    else next();
  }
}

/** A connection that is let in. */
export interface Connected {
  readonly client: Client;
  isGone(): boolean;
  /** Resolves when the connection is no more. */
  readonly gone: Promise<void>;
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refused the connection',
  EHOSTUNREACH: 'cannot be reached: no route to it',
  ENETUNREACH: 'cannot be reached: no route to its network',
  ETIMEDOUT: 'does not answer',
  ECONNRESET: 'closed the connection at once',
  ENOTFOUND: 'has no address: its name cannot be resolved',
  EAI_AGAIN: 'has no address: the name server does not answer',
};

function unreachable(target: Target, error: NodeJS.ErrnoException): Unreachable {
  const inner = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error;
  const reason = REASONS[inner.code ?? ''] ?? `cannot be reached: ${inner.message}`;
  return new Unreachable(
    target.host,
    'unreachable',
    `${target.host} (${target.address}:${target.port}) ${reason}`,
    {
      hint: 'is the host up, sshd running, the address and port right, and nothing in between that drops packets?',
      cause: error,
    },
  );
}

const withReason = (failure: Unreachable, { message }: Error): Unreachable =>
  new Unreachable(failure.host, 'auth', `${failure.message}; ${message}`, { hint: failure.hint });

/** That the time for a connection ran out before `at`. */
export const tooLate = (target: Target, at: string): Unreachable =>
  new Unreachable(
    target.host,
    'unreachable',
    `${target.host} (${target.address}:${target.port}) did not ${at} within ${target.connectTimeoutMs / 1000} s`,
    { hint: 'raise `connection: { connect_timeout }` if it is only slow' },
  );

/** A TCP connection without Nagle, which would cost 40 ms on every exchange. */
function connectSocket(target: Target, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = new Socket();
    socket.setNoDelay(true);
    const timer = setTimeout(() => fail(tooLate(target, 'answer')), target.connectTimeoutMs);
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.destroy();
      reject(error instanceof Error ? error : new Error(String(error)));
    };
    const onAbort = (): void => fail(signal?.reason);
    socket.once('error', (error) => fail(unreachable(target, error)));
    socket.once('connect', () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.connect({ host: target.address, port: target.port });
  });
}

/** Writes a new key down; why it could not be, where a host must not be trusted for it. */
function note(target: Target, name: string, key: Buffer): Unreachable | undefined {
  const [file = ''] = target.knownHosts;
  try {
    noteKey(file, name, key, target.isHashed);
    return undefined;
  } catch (cause) {
    const message = `the key of ${target.host} is new, and cannot be noted in ${file}: ${(cause as Error).message}`;
    return new Unreachable(target.host, 'key-unknown', message, { cause });
  }
}

/** Ends before any login: sshd drops connections so where many come at once (MaxStartups, sshd_config(5)). */
const early = new WeakSet<Error>();
const PAUSES_MS = [300, 1000, 3000];
const HUNG_UP = 'it closed the connection during the handshake';
const isHangUp = ({ message, code }: NodeJS.ErrnoException): boolean =>
  code === 'ECONNRESET' || message === HUNG_UP || message === 'Connection lost before handshake';

/** Handshake, host key, login, over a byte stream. */
async function logIn(
  target: Target,
  sock: Duplex,
  signal: AbortSignal | undefined,
  tools: LoginTools,
): Promise<Connected> {
  // Loaded at the first connection: it takes longer than many a run without ssh.
  const { default: ssh2 } = await import('ssh2');
  const { ask } = tools;
  const asking =
    ask &&
    (async (question: string, isSecret: boolean): Promise<string> => {
      watch?.pause();
      try {
        return await ask(question, isSecret);
      } finally {
        watch?.resume();
      }
    });
  let watch: ReturnType<typeof stopwatch> | undefined;
  const login = makeLogin(ssh2, target, { ...tools, ask: asking });
  const keyHost = target.hostKeyAlias ?? target.address;
  const keyPort = target.hostKeyAlias === undefined ? target.port : 22;
  const name = knownName(keyHost, keyPort);
  let known = readKnownKeys(target.knownHosts, name);
  // As OpenSSH: a key known without its port is taken for any port.
  if (known.length === 0 && keyPort !== 22) known = readKnownKeys(target.knownHosts, keyHost);

  const client = new ssh2.Client();
  // ssh2 may tell of one end twice; after the login `close` says it to all that wait for something.
  client.on('error', () => undefined);
  let isGone = false;
  const gone = new Promise<void>((resolve) =>
    client.once('close', () => {
      isGone = true;
      resolve();
    }),
  );
  let refusal: Unreachable | undefined;
  let isTrusted = false;
  const config: ConnectConfig = {
    sock,
    username: target.user,
    readyTimeout: 0,
    keepaliveInterval: target.alive.everyMs,
    keepaliveCountMax: target.alive.count,
    ...(target.forwardedAgent === undefined ? {} : { agent: target.forwardedAgent }),
    algorithms: {
      serverHostKey: hostKeyAlgorithms(known) as NonNullable<ConnectConfig['algorithms']>['serverHostKey'] &
        object,
      compress: ['none'],
    },
    hostVerifier: (key: Buffer) => {
      refusal = refuseKey(
        { host: target.host, address: keyHost, port: keyPort, key, files: target.knownHosts },
        known,
      );
      if (refusal?.code === 'host.key-unknown' && target.keyPolicy === 'accept-new' && isNewHost(known)) {
        refusal = note(target, name, key);
      }
      isTrusted = refusal === undefined;
      return isTrusted;
    },
    authHandler: login.handler as NonNullable<ConnectConfig['authHandler']>,
  };

  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      watch?.stop();
      client.destroy();
      reject(signal?.reason as Error);
    };
    const fail = (error: Error & { level?: string }): void => {
      signal?.removeEventListener('abort', onAbort);
      watch?.stop();
      client.destroy();
      if (refusal !== undefined) reject(refusal);
      else if (error.level === 'agent') reject(withReason(login.failure(), error));
      else if (
        error.level === 'client-authentication' ||
        (isTrusted && /authentication/i.test(error.message))
      ) {
        reject(login.failure());
      } else {
        const failure = unreachable(target, error);
        if (!isTrusted && isHangUp(error)) early.add(failure);
        reject(failure);
      }
    };
    client.once('error', fail);
    client.once('close', () => fail(new Error(HUNG_UP)));
    watch = stopwatch(target.connectTimeoutMs, () => {
      signal?.removeEventListener('abort', onAbort);
      client.destroy();
      reject(tooLate(target, 'let us in'));
    });
    client.once('ready', () => {
      watch?.stop();
      signal?.removeEventListener('abort', onAbort);
      client.removeListener('error', fail);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
    // What ended before ssh2 listened says so to nobody.
    if (sock.destroyed || sock.readableEnded) fail(new Error(HUNG_UP));
    else client.connect(config);
  });
  return { client, isGone: () => isGone, gone };
}

/** Connects to a server, over `via` (a stream from a jump host) or straight. */
export const connectTo = (
  target: Target,
  via: (() => Promise<Duplex>) | undefined,
  signal: AbortSignal | undefined,
  tools: LoginTools,
): Promise<Connected> =>
  inTurn(async () => {
    const { proxyCommand } = target;
    for (let times = 0; ; times++) {
      signal?.throwIfAborted();
      const sock =
        via !== undefined
          ? await via()
          : proxyCommand !== undefined
            ? commandStream(target, proxyCommand)
            : await connectSocket(target, signal);
      try {
        return await logIn(target, sock, signal, tools);
      } catch (error) {
        const ms = PAUSES_MS[times];
        if (ms === undefined || !(error instanceof Error) || !early.has(error)) throw error;
        await pause(ms, undefined, signal === undefined ? {} : { signal });
      }
    }
  });
