import { spawn } from 'node:child_process';
import { Duplex } from 'node:stream';
import type { Target } from './_target.ts';

/** A stream to a command's input and output: ssh_config's ProxyCommand. */
export function commandStream(target: Target, command: string): Duplex {
  const child = spawn('/bin/sh', ['-c', `exec ${command}`], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (piece: Buffer) => (said = `${said}${piece.toString()}`.slice(-500)));
  const stream = new Duplex({
    read: () => void child.stdout.resume(),
    // What it says when it ends tells more than the pipe that broke.
    write: (piece, _encoding, done) => void child.stdin.write(piece, () => done()),
    final(done) {
      child.stdin.end();
      done();
    },
  });
  child.stdin.on('error', () => undefined);
  child.stdout.on('data', (piece: Buffer) => {
    if (!stream.push(piece)) child.stdout.pause();
  });
  stream.once('close', () => void child.kill());
  child.once('close', (code) => {
    const why = said.trim() === '' ? '' : `: ${said.trim().split('\n').at(-1) ?? ''}`;
    stream.destroy(new Error(`the proxy command of ${target.host} ended with ${code ?? 'a signal'}${why}`));
  });
  child.once('error', (error) => stream.destroy(error));
  return stream;
}
