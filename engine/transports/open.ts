import { Unreachable } from '../core/error.ts';
import type { OpenTransport } from '../core/host.ts';
import { openLocal } from './local.ts';
import { openSsh } from './ssh.ts';

/** The transport that the host's connection names. */
export const openTransport: OpenTransport = (host, tools) => {
  const { unusable, transport } = host.connection;
  if (unusable !== undefined)
    throw new Unreachable(host.name, 'unreachable', `${host.name} cannot be reached: ${unusable}`);
  return transport === 'local' ? openLocal(host, tools) : openSsh(host, tools);
};
