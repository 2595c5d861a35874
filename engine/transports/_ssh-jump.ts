import type { Duplex } from 'node:stream';
import { DrillbookError, Unreachable } from '../core/error.ts';
import type { Connection } from '../core/host.ts';
import type { LoginTools } from './_ssh-auth.ts';
import { connectTo, tooLate } from './_ssh-connection.ts';
import type { Connected } from './_ssh-connection.ts';
import { resolveJump } from './_target.ts';
import type { Target } from './_target.ts';

/** A way through jump hosts, held until it is let go. */
export interface Way {
  /** A stream to the target from the last jump host; undefined when the way is straight. */
  readonly stream: (() => Promise<Duplex>) | undefined;
  letGo(): void;
}

interface Shared {
  readonly connected: Promise<Connected>;
  readonly before: Way;
  users: number;
}

/** One connection to a jump host serves all hosts behind it: sshd refuses more than 10 handshakes at once (MaxStartups). */
const shared = new Map<string, Shared>();

/** A stream from the jump host to the target. Its sshd may wait for minutes for one that does not answer: we do not. */
const forward = (client: Connected['client'], jump: Target, target: Target): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      reject(tooLate(target, `answer jump host ${jump.host}`));
    }, target.connectTimeoutMs);
    client.forwardOut('127.0.0.1', 0, target.address, target.port, (error, stream) => {
      clearTimeout(timer);
      if (isLate) return void stream?.destroy();
      if (error === undefined) return resolve(stream);
      reject(
        new Unreachable(
          target.host,
          'unreachable',
          `${target.host} (${target.address}:${target.port}) cannot be reached from jump host ${jump.host}: ${error.message}`,
          { hint: 'is it up, and does the sshd of the jump host allow AllowTcpForwarding?', cause: error },
        ),
      );
    });
  });

/** Connects to the jump hosts of `target`, in order; a jump host that has jumps of its own is reached by them. */
export async function wayTo(
  target: Target,
  connection: Connection,
  signal: AbortSignal | undefined,
  tools: LoginTools,
  depth = 0,
): Promise<Way> {
  const last = target.jumps.at(-1);
  if (last === undefined) return { stream: undefined, letGo: () => undefined };
  if (depth > 8) {
    throw new DrillbookError('usage.proxy-jump', `the jump hosts of ${target.host} lead in a circle`, {
      hint: 'look at ProxyJump in ssh_config',
    });
  }
  const found = resolveJump(last, connection);
  const jump = target.jumps.length > 1 ? { ...found, jumps: target.jumps.slice(0, -1) } : found;
  const key = JSON.stringify(jump);
  let entry = shared.get(key);
  if (entry === undefined) {
    const before = wayTo(jump, connection, signal, tools, depth + 1);
    const connected = before.then(({ stream }) => connectTo(jump, stream, signal, tools));
    const made: Shared = {
      connected,
      before: {
        stream: undefined,
        letGo: () =>
          void before.then(
            (way) => way.letGo(),
            () => undefined,
          ),
      },
      users: 0,
    };
    entry = made;
    shared.set(key, made);
    const forget = (): void => {
      if (shared.get(key) === made) shared.delete(key);
    };
    connected.then(({ gone }) => gone).then(forget, forget);
  }
  const held = entry;
  held.users++;
  let isHeld = true;
  const letGo = (): void => {
    if (!isHeld) return;
    isHeld = false;
    held.users--;
    if (held.users > 0) return;
    if (shared.get(key) === held) shared.delete(key);
    void held.connected
      .then(
        ({ client }) => client.end(),
        () => undefined,
      )
      .finally(() => held.before.letGo());
  };
  try {
    const { client } = await held.connected;
    return { stream: () => forward(client, jump, target), letGo };
  } catch (error) {
    letGo();
    throw error;
  }
}
