import type { ParseArgsOptionsConfig } from 'node:util';
import { DrillbookError } from '../core/error.ts';
import type { Become } from '../core/host.ts';
import type { Inventory } from '../parse/inventory.ts';
import { terminalAsk } from './_ask.ts';
import type { Invocation } from './_command.ts';

export const PASSWORD_OPTIONS = {
  'ask-pass': { type: 'boolean', short: 'k' },
  'ask-become-pass': { type: 'boolean', short: 'K' },
} as const satisfies ParseArgsOptionsConfig;

export const PASSWORD_HELP: Readonly<Record<keyof typeof PASSWORD_OPTIONS, string>> = {
  'ask-pass': 'ask for the password of the connections, once for all hosts without one',
  'ask-become-pass': 'the same for becoming another user',
};

/** Passwords that were typed for this command alone; they are kept nowhere. */
export interface Passwords {
  readonly connection?: string | undefined;
  readonly become?: string | undefined;
}

/** Asks for the passwords that the command line says are to be asked for. */
export async function passwordsOf({
  options,
  redactor,
}: Pick<Invocation, 'options' | 'redactor'>): Promise<Passwords> {
  const isWanted = (name: keyof typeof PASSWORD_OPTIONS): boolean => options[name] === true;
  if (!isWanted('ask-pass') && !isWanted('ask-become-pass')) return {};
  const ask = terminalAsk();
  if (!ask) {
    const name = isWanted('ask-pass') ? 'ask-pass' : 'ask-become-pass';
    throw new DrillbookError('usage.option', `--${name}: there is no terminal to ask on`, {
      hint: 'without one, passwords come from the inventory: an encrypted variables file keeps them',
    });
  }
  const connection = isWanted('ask-pass') ? await ask('SSH password: ', true) : undefined;
  redactor.add(connection);
  if (!isWanted('ask-become-pass')) return { connection };
  const same = connection === undefined ? '' : ' [the SSH password]';
  const typed = await ask(`Become password${same}: `, true);
  const become = typed === '' ? connection : typed;
  redactor.add(become);
  return { connection, become };
}

/** The inventory with the typed passwords where a host has none of its own. */
export function withPasswords(inventory: Inventory, { connection, become }: Passwords): Inventory {
  if (connection === undefined && become === undefined) return inventory;
  const own = (how: Become): Become => ({ ...how, password: how.password ?? become });
  const hosts = [...inventory.hosts].map(([name, host]) => {
    const password = host.connection.password ?? connection;
    const becoming = own(host.becoming ?? host.become ?? { user: 'root', method: 'sudo' });
    const changed = { ...host, connection: { ...host.connection, password }, becoming };
    return [name, host.become ? { ...changed, become: own(host.become) } : changed] as const;
  });
  return { ...inventory, hosts: new Map(hosts) };
}
