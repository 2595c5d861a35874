import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import { becomeSchema } from '../become.ts';
import { vars } from '../playbook-schema.ts';

const connectionSchema = z.strictObject({
  transport: z.enum(['ssh', 'local']).optional(),
  address: z
    .string()
    .optional()
    .describe('IP address or name; from ssh_config or the host’s name when left out'),
  port: z.number().int().min(1).max(65535).optional(),
  user: z.string().optional(),
  password: z.string().optional(),
  identity_file: z.string().optional().describe('Private key on the jump host'),
  passphrase: z.string().optional(),
  known_hosts: z.string().optional(),
  ssh_config: z.string().optional(),
  ssh_options: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .optional()
    .describe('Words of ssh_config and their values, over those of the file'),
  proxy_jump: z.string().optional(),
  connect_timeout: zDuration.optional(),
  reconnect_timeout: zDuration
    .optional()
    .describe('How long a run waits for a host that was reached before and is away (default 5m)'),
});

const layerKeys = {
  vars: vars.optional(),
  connection: connectionSchema.optional(),
  become: becomeSchema.optional(),
};
const hostSchema = z.strictObject(layerKeys);
const groupSchema = z.strictObject({
  hosts: z.array(z.string()).optional(),
  groups: z.array(z.string()).optional().describe('Groups whose hosts belong to this one too'),
  ...layerKeys,
});
const clusterSchema = z.strictObject({
  stack: z.string(),
  nodes: z.array(z.string()).min(2),
  settings: vars.optional(),
});

export const inventorySchema = z.strictObject({
  ...layerKeys,
  hosts: z
    .record(z.string(), hostSchema.nullable())
    .optional()
    .describe('May be left out beside another inventory that has them'),
  groups: z.record(z.string(), groupSchema).optional(),
  clusters: z.record(z.string(), clusterSchema).optional(),
});

/** What a group says in the variable `drillbook_cluster` when its hosts are the nodes of a cluster. */
export const clusterVariableSchema = z.strictObject({ stack: z.string(), settings: vars.optional() });

export type ConnectionText = z.output<typeof connectionSchema>;
export type BecomeText = z.output<typeof becomeSchema>;
