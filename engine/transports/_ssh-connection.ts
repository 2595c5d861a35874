import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Client, ConnectConfig } from 'ssh2';
import { Unreachable } from '../core/error.ts';
import { hostKeyAlgorithms, knownName, readKnownKeys, refuseKey } from './_known-hosts.ts';
import { makeLogin } from './_ssh-auth.ts';
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

const tooLate = (target: Target, at: string): Unreachable =>
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

/** Handshake, host key, login, over a byte stream. */
async function logIn(target: Target, sock: Duplex, signal: AbortSignal | undefined): Promise<Connected> {
  // Loaded at the first connection: it takes longer than many a run without ssh.
  const { default: ssh2 } = await import('ssh2');
  const login = makeLogin(ssh2, target);
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
    readyTimeout: target.connectTimeoutMs,
    // A dead link is noticed after two probes without an answer: 15 s at most.
    keepaliveInterval: 5000,
    keepaliveCountMax: 2,
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
      isTrusted = refusal === undefined;
      return isTrusted;
    },
    authHandler: login.handler as NonNullable<ConnectConfig['authHandler']>,
  };

  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      client.destroy();
      reject(signal?.reason as Error);
    };
    const fail = (error: Error & { level?: string }): void => {
      signal?.removeEventListener('abort', onAbort);
      client.destroy();
      if (refusal !== undefined) reject(refusal);
      else if (error.level === 'client-timeout') reject(tooLate(target, 'let us in'));
      else if (
        error.level === 'client-authentication' ||
        (isTrusted && /authentication/i.test(error.message))
      ) {
        reject(login.failure());
      } else reject(unreachable(target, error));
    };
    client.once('error', fail);
    client.once('close', () => fail(new Error('it closed the connection during the handshake')));
    client.once('ready', () => {
      signal?.removeEventListener('abort', onAbort);
      client.removeListener('error', fail);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
    client.connect(config);
  });
  return { client, isGone: () => isGone, gone };
}

/** Connects to a server, over `via` (a stream from a jump host) or straight. */
export const connectTo = (
  target: Target,
  via: (() => Promise<Duplex>) | undefined,
  signal?: AbortSignal,
): Promise<Connected> =>
  inTurn(async () => {
    signal?.throwIfAborted();
    const sock = via === undefined ? await connectSocket(target, signal) : await via();
    return logIn(target, sock, signal);
  });
