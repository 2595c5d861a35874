import type { Duplex } from 'node:stream';
import { constants } from 'node:os';
import type { ClientChannel, ExecOptions } from 'ssh2';
import { DrillbookError, Unreachable } from '../core/error.ts';
import type { Endpoint, OpenTransport } from '../core/host.ts';
import { makeTransport } from './_transport.ts';
import { connectTo } from './_ssh-connection.ts';
import type { Connected } from './_ssh-connection.ts';
import { wayTo } from './_ssh-jump.ts';
import { resolveTarget } from './_target.ts';
import type { Target } from './_target.ts';
import { endingOf } from './_wire.ts';
import type { Carrier, Wire } from './_wire.ts';

function wireOf(channel: ClientChannel, connected: Connected): Wire {
  let letGo: (() => void) | undefined;
  const ended = endingOf(({ exit, close }) => {
    letGo = close;
    channel.on('exit', (code: number | null, signal?: string) => {
      const number = constants.signals[`SIG${(signal ?? '').replace(/^SIG/, '')}` as NodeJS.Signals] as
        number | undefined;
      exit(code ?? 128 + (number ?? 0));
    });
    channel.on('close', close);
    void connected.gone.then(close);
  }, connected.isGone);
  return {
    stdin: channel.stdin,
    stdout: channel.stdout,
    stderr: channel.stderr,
    ended,
    destroy() {
      channel.close();
      letGo?.();
    },
  };
}

function sshCarrier(target: Target, connected: Connected, shell: string, onClose: () => void): Carrier {
  const { client } = connected;
  const { host } = target;
  const gone = (): Unreachable => new Unreachable(host, 'lost', `the connection to ${host} is gone`);

  let isForwarding = target.forwardedAgent !== undefined;
  /** With the agent where it is wanted; sshd may forbid that (AllowAgentForwarding), and is used without it then. */
  function run(command: string, done: (error: Error | undefined, channel: ClientChannel) => void): void {
    // The declared options do not have it.
    const options = { agentForward: isForwarding } as ExecOptions;
    client.exec(command, options, (error, opened) => {
      const isForbidden = isForwarding && error !== undefined && /agent forwarding/i.test(error.message);
      if (!isForbidden) return done(error, opened);
      isForwarding = false;
      run(command, done);
    });
  }

  /** Asks for a channel; a connection that ends first is told as such and not waited for. */
  function channel<T>(
    ask: (done: (error: Error | undefined, channel: T) => void) => void,
    failed: (error: Error) => Error,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (connected.isGone()) return reject(gone());
      void connected.gone.then(() => reject(gone()));
      try {
        ask((error, opened) => {
          if (error === undefined) resolve(opened);
          else reject(connected.isGone() ? gone() : failed(error));
        });
      } catch (error) {
        reject(connected.isGone() || !(error instanceof Error) ? gone() : failed(error));
      }
    });
  }

  function dial(endpoint: Endpoint): Promise<Duplex> {
    const where = 'socketPath' in endpoint ? endpoint.socketPath : `${endpoint.host}:${endpoint.port}`;
    return channel<Duplex>(
      (done) => {
        if ('socketPath' in endpoint) client.openssh_forwardOutStreamLocal(endpoint.socketPath, done);
        else client.forwardOut('127.0.0.1', 0, endpoint.host, endpoint.port, done);
      },
      (error) =>
        new DrillbookError('step.dial', `nothing answers at ${where} on ${host}: ${error.message}`, {
          hint: /prohibited/i.test(error.message)
            ? 'sshd on it forbids it: AllowTcpForwarding, AllowStreamLocalForwarding, PermitOpen'
            : undefined,
          cause: error,
        }),
    );
  }

  return {
    host,
    user: target.user,
    shell,
    async start(command) {
      const opened = await channel<ClientChannel>(
        (done) => run(command, done),
        (error) =>
          new Unreachable(
            host,
            'unreachable',
            `sshd on ${host} grants no further session: ${error.message}`,
            {
              hint: 'raise MaxSessions of sshd to 10 (its default) or more',
              cause: error,
            },
          ),
      );
      return wireOf(opened, connected);
    },
    dial,
    isGone: connected.isGone,
    async close() {
      client.end();
      const timer = setTimeout(() => client.destroy(), 2000);
      await connected.gone;
      clearTimeout(timer);
      onClose();
    },
  };
}

/** The same with another shell than `sh`. */
export const openSshWith =
  (shell: string): OpenTransport =>
  (host, { redactor, signal, ask }) => {
    redactor.add(host.connection.password);
    redactor.add(host.connection.passphrase);
    return makeTransport(async () => {
      const target = resolveTarget(host.name, host.connection);
      const tools = { redactor, ask };
      const way = await wayTo(target, host.connection, signal, tools);
      try {
        const connected = await connectTo(target, way.stream, signal, tools);
        void connected.gone.then(way.letGo);
        return sshCarrier(target, connected, shell, way.letGo);
      } catch (error) {
        way.letGo();
        throw error;
      }
    }, redactor);
  };

/** A transport over one SSH connection; ssh2 is loaded when it connects. */
export const openSsh: OpenTransport = openSshWith('sh');
