import type { OpenTransport } from '../core/host.ts';
import { openLocal } from './local.ts';
import { openSsh } from './ssh.ts';

/** The transport that the host's connection names. */
export const openTransport: OpenTransport = (host, tools) =>
  host.connection.transport === 'local' ? openLocal(host, tools) : openSsh(host, tools);
