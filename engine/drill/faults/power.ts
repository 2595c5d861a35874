import { StepFailed } from '../../core/error.ts';
import type { Host } from '../../core/host.ts';
import type { FaultScripts } from '../lease.ts';

/** What presses the button, from the inventory; throws where the host has none, and so must not be powered off. */
export function powerFault({ name, vars }: Pick<Host, 'name' | 'vars'>): FaultScripts {
  const { power_off_command: off, power_on_command: on } = vars;
  if (typeof off !== 'string' || typeof on !== 'string')
    throw new StepFailed(
      `${name} has no power_off_command and power_on_command in the inventory: it is not powered off`,
      {},
      {
        hint: 'give it both, run on this machine (as `ipmitool … chassis power off`), where a drill may take its power',
      },
    );
  return { start: 'sh -c "$1"', heal: 'sh "$AT/secret"', args: [off], secret: on };
}
