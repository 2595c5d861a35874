import { z } from 'zod';
import { zDuration } from '../core/duration.ts';
import { databaseSettings } from '../modules/mysql/_settings.ts';

const on = z
  .string()
  .min(1)
  .describe('The node it strikes: primary or standby (as they are when the drill begins), or its name');

const unit = z.string().regex(/^[\w@.:-]+$/, 'the name of a systemd unit');

const links = z
  .enum(['heartbeats', 'all'])
  .default('all')
  .describe(
    'all: the networks of heartbeats and VIPs, nothing of them passes; heartbeats: only what the two nodes send each other there',
  );
const network = z
  .int()
  .min(1)
  .optional()
  .describe('Only this heartbeat network, counted from 1 as in the inventory');
const direction = z
  .enum(['both', 'in', 'out'])
  .default('both')
  .describe('Seen from the node: what comes in, what goes out, or both');

/** Parameters of each kind of fault; the shape is the key in the drill file. */
export const FAULTS = {
  service: z
    .strictObject({
      on,
      name: unit.describe('Its systemd unit'),
      how: z
        .enum(['stop', 'kill', 'freeze'])
        .default('kill')
        .describe(
          'stop: in order; kill: SIGKILL; freeze: SIGSTOP. It does not come back while the fault lasts',
        ),
    })
    .describe('A service ends, or no longer answers'),
  database: z
    .strictObject({
      on,
      how: z.enum(['stop', 'kill', 'freeze']).default('kill').describe('As for `service`'),
    })
    .describe("The database server of the pair's settings ends, or no longer answers"),
  cut: z
    .strictObject({ on, links, network, direction })
    .describe(
      'A network is cut, silently: the carrier stays. The way drillbook reaches the node by is left open',
    ),
  slow: z
    .strictObject({
      on,
      network,
      delay: zDuration
        .optional()
        .describe("Added to each packet that the node sends; needs the kernel's netem"),
      jitter: zDuration.optional().describe('The delay goes up and down by so much'),
      loss: z.number().gt(0).lt(100).optional().describe('Percent of the packets that are lost'),
    })
    .refine(({ delay, loss }) => delay !== undefined || loss !== undefined, 'give `delay`, `loss` or both')
    .describe('The networks of heartbeats and VIPs are slow, or lose packets'),
  power_off: z
    .strictObject({ on })
    .describe(
      'The node loses its power. By `power_off_command` and `power_on_command` of the host in the inventory, run on the jump host; a host without them is not powered off',
    ),
  full_disk: z
    .strictObject({
      on,
      directory: z.string().startsWith('/').describe('A directory of the file system that becomes full'),
    })
    .describe('A file system has no room left'),
  read_only: z
    .strictObject({ on, directory: z.string().startsWith('/').describe('What can no longer be written to') })
    .describe('A directory is on a read-only file system; files that are open for writing stay so'),
  conflicting_row: z
    .strictObject({ on: on.default('standby') })
    .describe('The standby gets a row that the primary is about to write: replication breaks'),
  clock: z
    .strictObject({
      on,
      by: zDuration.describe('How far it goes'),
      direction: z.enum(['ahead', 'back']).default('ahead').describe('Which way'),
    })
    .describe(
      "The node's clock is wrong; time synchronisation is stopped meanwhile. Not in containers, which share it",
    ),
  wrong_password: z
    .strictObject({ on: on.default('primary') })
    .describe(
      'The account of the replication has another password on this node, and its replica is thrown out',
    ),
} as const;

export type FaultKind = keyof typeof FAULTS;
export const faultKinds = Object.keys(FAULTS) as readonly FaultKind[];
export type FaultParams<K extends FaultKind> = z.output<(typeof FAULTS)[K]>;

/** Beside the one kind of fault that it has. */
const faultWords = {
  name: z.string().optional().describe('What the operator reads'),
  after: zDuration.default(0).describe('How long after the first fault it begins'),
  for: zDuration.default(30_000).describe('How long it lasts; then it is healed'),
};

const oneKind = (fault: Readonly<Record<string, unknown>>): boolean =>
  faultKinds.filter((kind) => fault[kind] !== undefined).length === 1;

const faultSchema = z
  .strictObject({
    ...faultWords,
    ...(Object.fromEntries(
      Object.entries(FAULTS).map(([kind, params]) => [
        kind,
        params.optional().describe(params.description ?? ''),
      ]),
    ) as { [K in FaultKind]: z.ZodOptional<(typeof FAULTS)[K]> }),
  })
  .refine(oneKind, `a fault has exactly one of ${faultKinds.join(', ')}`);

const conditions = z.union([z.string().transform((text) => [text]), z.array(z.string()).min(1)]);

const within = (preset: number): z.ZodDefault<typeof zDuration> => zDuration.default(preset);

export const drillSchema = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  steady: z
    .strictObject({
      that: conditions.describe(
        'CEL over `cluster`, as in invariants; all must hold before the fault, and again at the end',
      ),
      within: within(120_000).describe('How long the pair may take to get there in the end'),
      holds: within(3000).describe('How long they must hold without a break in the end'),
    })
    .describe('What the pair is like when all is well'),
  ledger: z
    .strictObject({
      rate: z.int().min(1).max(2000).default(120).describe('Rows a second'),
      connections: z.int().min(1).max(32).default(4).describe('Clients that write side by side'),
      timeout: within(500).describe('How long a client waits for an answer before it tries again'),
      vip: z.string().optional().describe('The VIP to write through (default: the first)'),
      from: z
        .string()
        .regex(/^[\w.:%-]+$/, 'an address, as MySQL takes it for the host of an account')
        .optional()
        .describe('Address that this machine has for the database (default: as its routes tell)'),
      database: databaseSettings
        .pick({ name: true, socket: true, port: true, admin: true })
        .optional()
        .describe("The database that is written to (default: that of the pair's settings)"),
      page: z
        .string()
        .regex(/^https?:\/\//, 'an http address')
        .optional()
        .describe('A page to be read meanwhile; `{{vip}}` in it is the VIP'),
      before: within(5000).describe('How long is written before the fault'),
      after: within(3000).describe('How long is written once all is well again'),
    })
    .prefault({})
    .describe('The writer of numbered rows, through the VIP'),
  faults: z
    .array(faultSchema)
    .describe('What goes wrong; none where the first playbook of `then` is what is measured, a planned stop'),
  expect: z
    .array(
      z.strictObject({
        name: z.string().describe('What should happen by itself'),
        that: conditions.describe('CEL over `cluster` and `before` (primary and standby as they were)'),
        within: within(30_000).describe('How long after the first fault'),
      }),
    )
    .default([])
    .describe('What should happen by itself'),
  then: z
    .array(
      z.strictObject({
        run: z.string().describe('Playbook, from the folder of the drill file'),
        when: conditions.optional().describe('CEL over `cluster` and `before`; left out: always'),
        within: within(30_000).describe('How long is waited until `when` holds, before it is passed over'),
        with: z.record(z.string(), z.unknown()).optional().describe('Its inputs'),
      }),
    )
    .default([])
    .describe(
      'Playbooks for what does not happen by itself, once the faults are healed; or those of a planned stop',
    ),
  goals: z
    .strictObject({
      rto: zDuration.optional().describe('Longest time without an acknowledged write'),
      rpo: z.int().min(0).optional().describe('Acknowledged rows that may be lost'),
      rpo_before_heal: z
        .int()
        .min(0)
        .optional()
        .describe('Acknowledged rows that may be missing as long as what failed is not back'),
      detect: zDuration.optional().describe('Until the other node begins to take over'),
      promote: zDuration.optional().describe('Until the other node takes writes'),
      duplicates: z
        .int()
        .min(0)
        .optional()
        .describe('Rows that may be written twice by clients that tried again'),
    })
    .default({})
    .describe('What the figures must not exceed'),
});

export type DrillWords = z.output<typeof drillSchema>;
export type FaultWords = DrillWords['faults'][number];
export type LedgerWords = DrillWords['ledger'];
export type Goals = DrillWords['goals'];

/** The kind of a fault that was checked, and its parameters. */
export function kindOf(fault: FaultWords): { readonly kind: FaultKind; readonly on: string } {
  const kind = faultKinds.find((one) => fault[one] !== undefined);
  const params = kind && fault[kind];
  if (kind === undefined || params === undefined) throw new Error('a fault without a kind');
  return { kind, on: params.on };
}
