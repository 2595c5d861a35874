import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { DrillbookError } from '../core/error.ts';
import { startMachine } from './machine.ts';
import { ssh } from './ssh.ts';
import { addressOf, nodeDir, type LabState, type NodeState } from './state.ts';

const BOOT_LIMIT_MS = 120_000;

/** Switches a node on and resolves when all its services are started (at once when ssh to it is cut). */
export async function boot(state: LabState, node: NodeState, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await startMachine(state, node);
  if (node.cuts.includes('mgmt')) return;
  const limit = AbortSignal.any([AbortSignal.timeout(BOOT_LIMIT_MS), ...(signal ? [signal] : [])]);
  try {
    await answers(addressOf(state, node, 'mgmt'), limit);
    await ssh(state, node, 'systemctl is-system-running --wait', { signal: limit });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new DrillbookError('lab.boot', `node ${node.name} has not booted in ${BOOT_LIMIT_MS / 1000} s`, {
      hint: `its console: ${join(nodeDir(state.name, node.name), 'console.log')}`,
      cause,
    });
  }
}

/** Resolves once sshd greets; each attempt waits for the last one's end. */
async function answers(address: string, signal: AbortSignal): Promise<void> {
  while (!(await greets(address))) await pause(30, undefined, { signal });
}

const greets = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port: 22, timeout: 1000 });
    const end = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once('data', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
    socket.once('close', () => end(false));
  });
