import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { DrillbookError } from '../core/error.ts';
import { consoleEnd, startMachine } from './machine.ts';
import { ssh } from './ssh.ts';
import { addressOf, type LabState, type NodeState } from './state.ts';

const BOOT_LIMIT_MS = 300_000;

/** Switches a node on and resolves when all its services are started (at once when ssh to it is cut); says which are not. */
export async function boot(
  state: LabState,
  node: NodeState,
  onProgress: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  const ended = await startMachine(state, node);
  if (node.cuts.mgmt !== undefined) return;
  const limit = AbortSignal.any([AbortSignal.timeout(BOOT_LIMIT_MS), ended, ...(signal ? [signal] : [])]);
  try {
    await answers(addressOf(state, node, 'mgmt'), limit);
    const failed = await settle(state, node, limit);
    if (failed.length > 0)
      onProgress(`${node.name} is up, but for ${failed.join(', ')}, which failed to start`);
  } catch (cause) {
    signal?.throwIfAborted();
    const why = ended.aborted ? 'ended while it booted' : `has not booted in ${BOOT_LIMIT_MS / 1000} s`;
    throw new DrillbookError('lab.boot', `node ${node.name} ${why}`, {
      hint: await consoleEnd(state, node),
      cause,
    });
  }
}

/** Waits until all units have started or failed, and gives those that failed; a connection that is lost is made again. */
async function settle(state: LabState, node: NodeState, signal: AbortSignal): Promise<readonly string[]> {
  const ask = 'systemctl is-system-running --wait; systemctl --failed --plain --no-legend';
  for (;;) {
    const [word = '', ...lines] = (await ssh(state, node, ask, { signal })).stdout.trim().split('\n');
    if (word === 'running' || word === 'degraded') return lines.map((line) => line.split(' ')[0] ?? '');
    await pause(200, undefined, { signal });
  }
}

/** Resolves once sshd greets; each attempt waits for the last one's end. */
async function answers(address: string, signal: AbortSignal): Promise<void> {
  while (!(await greets(address, signal))) await pause(30, undefined, { signal });
}

const greets = (address: string, signal: AbortSignal): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port: 22, timeout: 10_000, signal });
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
    socket.once('close', () => end(false));
  });
