import type { OpenTransport } from '../core/host.ts';
import { openLocal } from './local.ts';
/** The transport that the host's connection names. */
export const openTransport: OpenTransport = (host, tools) => openLocal(host, tools);
