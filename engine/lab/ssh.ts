import { keyOf, knownHostsOf } from './disk.ts';
import { execute, type ProgramOptions, type ProgramResult } from './program.ts';
import { addressOf, type LabState, type NodeState } from './state.ts';

/** OpenSSH's arguments for a node, up to the command: the lab's key and known_hosts, nothing of the user's. */
export function sshArguments(state: LabState, node: NodeState): readonly string[] {
  const options = [
    `UserKnownHostsFile=${knownHostsOf(state.name)}`,
    ...[
      'GlobalKnownHostsFile=/dev/null',
      'StrictHostKeyChecking=yes',
      'IdentitiesOnly=yes',
      'LogLevel=ERROR',
    ],
    // A node that is gone is not waited for for ever.
    ...['BatchMode=yes', 'ConnectTimeout=10', 'ServerAliveInterval=10'],
  ].flatMap((option) => ['-o', option]);
  return ['-F', 'none', '-i', keyOf(state.name), ...options, `root@${addressOf(state, node, 'mgmt')}`];
}

/** Runs a command on a node as root. */
export const ssh = (
  state: LabState,
  node: NodeState,
  command: string,
  options?: ProgramOptions,
): Promise<ProgramResult> => execute('ssh', [...sshArguments(state, node), command], options);
