import { z } from 'zod';
import type { Cluster } from '../../core/host.ts';

const account = z.strictObject({
  user: z.string().min(1).describe('Name of the account'),
  password: z.string().optional().describe('Its password').meta({ secret: true }),
});

/** `settings.database` of a cluster: how its nodes' servers are reached and named. */
export const databaseSettings = z.strictObject({
  flavour: z
    .enum(['mariadb', 'mysql', 'greatdb', 'kylin'])
    .default('mariadb')
    .describe('Kind of server; `kylin`: MariaDB as Kylin V10 brings it'),
  name: z.string().min(1).default('dbackup3').describe('The database that is replicated'),
  service: z.string().min(1).default('mariadb').describe('Its systemd unit'),
  socket: z.string().startsWith('/').default('/run/mysqld/mysqld.sock').describe('Unix socket on the node'),
  port: z.int().min(1).max(65535).default(3306).describe('TCP port'),
  config_file: z.string().startsWith('/').optional().describe('The file that the template is rendered to'),
  options: z
    .record(
      z.string().regex(/^[a-z][\w.-]*$/i, 'the name of a server option'),
      z.union([z.string().regex(/^[^\r\n]*$/), z.number()]),
    )
    .default({})
    .describe('Further options of its section [mysqld], as max_connections: 500; on MySQL and MariaDB'),
  admin: account
    .default({ user: 'root' })
    .describe('Administrator; without a password the socket tells who we are'),
  replication: account.optional().describe('Account that the replicas log in with'),
  catalog: account.optional().describe('Account that the product itself logs in with'),
});

export type DatabaseSettings = z.output<typeof databaseSettings>;

/** The database settings of the host's pair; defaults where it has none. */
export const databaseOf = (cluster: Cluster | undefined): DatabaseSettings =>
  databaseSettings.parse(cluster?.settings['database'] ?? {});

/** Parameter `login`, the same in every mysql module. */
export const loginParam = z
  .strictObject({
    socket: z.string().startsWith('/').optional().describe('Unix socket on the node'),
    host: z.string().optional().describe('Address as seen from the node; TCP instead of the socket'),
    port: z.int().min(1).max(65535).optional().describe('TCP port (default 3306)'),
    user: z.string().optional().describe('Account'),
    password: z
      .string()
      .optional()
      .describe('Password; without it the socket tells who we are')
      .meta({ secret: true }),
  })
  .optional()
  .describe("How to log in; what is left out comes from the pair's `settings.database`");

/** Where and as whom to log in. */
export interface Login {
  readonly endpoint: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  readonly user: string;
  readonly password: string | undefined;
}

/** The socket of the server, for programs of the node that go by nothing else. */
export const socketOf = (cluster: Cluster | undefined, { endpoint }: Login): string =>
  'socketPath' in endpoint ? endpoint.socketPath : databaseOf(cluster).socket;

/** Parameter `login` filled up from the pair's settings. */
export function loginOf(cluster: Cluster | undefined, given: z.output<typeof loginParam>): Login {
  const database = databaseOf(cluster);
  const endpoint =
    given?.host === undefined
      ? { socketPath: given?.socket ?? database.socket }
      : { host: given.host, port: given.port ?? database.port };
  const isAdmin = given?.user === undefined || given.user === database.admin.user;
  return {
    endpoint,
    user: given?.user ?? database.admin.user,
    password: given?.password ?? (isAdmin ? database.admin.password : undefined),
  };
}
