import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';

const params = z.strictObject({
  component: z.enum(['agent', 'stored']).default('agent').describe('Which service'),
  address: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9.:_-]*$/, { error: 'is no address' })
    .max(255)
    .describe('Address of the backup server: the VIP, or the local address before there is a cluster'),
  restart: z.boolean().default(true).describe('Restart the service, so that it goes there at once'),
});
type Params = z.output<typeof params>;

/** `$1` script of the service, `$2` its file: not there before it was told an address for the first time. */
const LOOK = `[ -e "$1" ] || { echo "$1 is not there" >&2; exit 66; }
[ ! -e "$2" ] || sed -n 's/^server=//p' "$2"`;

async function check(ctx: Context, { component, address }: Params): Promise<Checked> {
  const file = `/var/opt/scutech/dbackup3/${component}/${component}.conf`;
  const { code, stdout, stderr } = await ctx.sh(LOOK, { args: [`/etc/init.d/dbackup3-${component}`, file] });
  if (code !== 0)
    throw new StepFailed(
      `Where the ${component} of ${ctx.host.name} points to cannot be read: ${stderr.trim()}`,
      { code },
      {
        hint: `is dbackup3-${component} installed?`,
      },
    );
  const before = stdout.trim();
  const changes = before === address ? [] : [{ what: `server of the ${component}`, before, after: address }];
  return { changes, result: { address: before } };
}

export default state({
  summary:
    'The agent or the storage service points at this backup server (FAQ 1: at the VIP once there is a cluster)',
  source: 'DBackup HA guide V8.0-9, 4.1 and FAQ 1',
  params,
  examples: `
- name: Storage goes by the VIP
  dbackup.address: { component: stored, address: '{{cluster.settings.vips.[0].address}}' }
`,
  returns: { address: z.string().describe('Where it points to') },
  check,
  async apply(ctx, { component, address, restart }) {
    const { code, output } = await ctx.dialogue(`/etc/init.d/dbackup3-${component} config`, [
      { prompt: /server address\s*\[[^\]]*\]\s*:\s*$/, answer: address },
      { prompt: /restart \w+\?\s*\[Y\]\s*:\s*$/, answer: restart ? 'Y' : 'N', isOptional: true },
    ]);
    if (code === 0) return undefined;
    throw new StepFailed(
      `The ${component} of ${ctx.host.name} could not be pointed at ${address}: ${output.trim().split('\n').at(-1) ?? ''}`,
      { code, output },
    );
  },
});
