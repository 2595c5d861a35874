import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { listening } from '../transports/_sshd.ts';

/** A line to a port of this machine that a test can cut or silence. */
export interface Line {
  readonly port: number;
  /** Resets every connection; new ones get through. */
  cut(): void;
  /** Nothing passes any more and nobody is told, as where packets are dropped; new connections get no word either. */
  silence(): void;
  /** What was held back passes, as when packets are sent again. */
  heal(): void;
  close(): Promise<void>;
}

export async function startLine(to: number): Promise<Line> {
  const sockets = new Set<Socket>();
  let isSilent = false;
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    const pair = [near, far] as const;
    for (const [i, socket] of pair.entries()) {
      const other = pair[1 - i] as Socket;
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('data', (piece) => void other.write(piece));
      socket.on('error', () => undefined);
      socket.on('end', () => other.end());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      if (isSilent) socket.pause();
    }
  });
  const port = await listening(server);
  return {
    port,
    cut() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    silence() {
      isSilent = true;
      for (const socket of sockets) socket.pause();
    },
    heal() {
      isSilent = false;
      for (const socket of sockets) socket.resume();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
