import { spawn } from 'node:child_process';
import { connect as connectSocket } from 'node:net';
import { constants, userInfo } from 'node:os';
import type { Duplex } from 'node:stream';
import { DrillbookError } from '../core/error.ts';
import type { Endpoint, Host, OpenTransport, Transport } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';
import { makeTransport } from './_transport.ts';
import { within } from './_stop.ts';
import { endingOf } from './_wire.ts';
import type { Carrier, Wire } from './_wire.ts';

type Child = ReturnType<typeof startChild>;

// Its own session: a signal to our terminal's group must not reach it, and what it starts can be found by it.
const startChild = (command: string) =>
  spawn('sh', ['-c', command], { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });

function wireOf(child: Child, onEnd: () => void): Wire {
  let letGo: (() => void) | undefined;
  const ended = endingOf(
    ({ exit, close }) => {
      letGo = close;
      child.on('exit', (code, signal) =>
        exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      );
      child.on('close', close);
      child.on('error', () => exit(127));
    },
    () => false,
  );
  child.once('exit', onEnd);
  child.once('error', onEnd);
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    ended,
    destroy() {
      child.stdin.destroy();
      child.stdout.destroy();
      child.stderr.destroy();
      child.kill('SIGHUP');
      letGo?.();
    },
  };
}

/** Connects to what the endpoint names as seen from this machine. */
function dialHere(host: string, endpoint: Endpoint): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket =
      'socketPath' in endpoint
        ? connectSocket(endpoint.socketPath)
        : connectSocket(endpoint.port, endpoint.host);
    const where = 'socketPath' in endpoint ? endpoint.socketPath : `${endpoint.host}:${endpoint.port}`;
    socket.setNoDelay(true);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error) =>
      reject(
        new DrillbookError('step.dial', `nothing answers at ${where} on ${host}: ${error.message}`, {
          cause: error,
        }),
      ),
    );
  });
}

function localCarrier(host: string, shell: string): Carrier {
  const children = new Set<Child>();
  return {
    host,
    user: userInfo().username,
    shell,
    start(command) {
      const child = startChild(command);
      children.add(child);
      return Promise.resolve(wireOf(child, () => children.delete(child)));
    },
    dial: (endpoint) => dialHere(host, endpoint),
    isGone: () => false,
    async close() {
      const ends = [...children].map((child) => {
        const end = new Promise<void>((resolve) => child.once('exit', () => resolve()));
        child.stdin.destroy();
        child.kill('SIGHUP');
        return end;
      });
      await within(2000, Promise.all(ends));
    },
  };
}

/** The same with another shell than `sh`. */
export const openLocalWith = (host: Host, redactor: Redactor, shell: string): Transport =>
  makeTransport(() => Promise.resolve(localCarrier(host.name, shell)), redactor);

/** A transport to the jump host itself. */
export const openLocal: OpenTransport = (host, { redactor }) => openLocalWith(host, redactor, 'sh');
