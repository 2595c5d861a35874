import { z } from 'zod';
import { zDuration } from '../../core/duration.ts';
import { StepFailed } from '../../core/error.ts';
import type { Change, Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { renderLocal } from '../_local.ts';
import { waitUntil } from '../_wait.ts';

const params = z.strictObject({
  src: z
    .string()
    .default('keepalived.conf.hbs')
    .describe('Handlebars template on the jump host: beside the playbook or in templates/')
    .meta({ localFile: true, template: true }),
  dest: z
    .string()
    .startsWith('/')
    .default('/etc/keepalived/keepalived.conf')
    .describe('The file on the node'),
  service: z
    .string()
    .regex(/^[\w@.:-]+$/)
    .default('keepalived')
    .describe('Unit that is told to read it again; it is not started'),
  wait: zDuration
    .default(10_000)
    .describe('How long a virtual address held before may be gone after the change'),
});
type Params = z.output<typeof params>;

/** Prints the held addresses, a line `--`, and the file. */
const LOOK = `ip -o addr show | sed -n 's/.* inet6* \\([^ /]*\\).*/\\1/p'
echo --
[ ! -e "$1" ] || cat "$1"`;

/** `$1` candidate, `$2` file, `$3` unit. The candidate lies beside the file, so that the swap is one rename. */
const SWAP = `command -v keepalived >/dev/null || { echo "keepalived is not installed" >&2; rm -f "$1"; exit 127; }
said=$(keepalived --config-test -f "$1" 2>&1) || { printf '%s\\n' "$said" >&2; rm -f "$1"; exit 65; }
backup=
if [ -e "$2" ]; then backup=$2.$(date +%Y%m%dT%H%M%S)~; cp -p "$2" "$backup" || exit; fi
mv -f "$1" "$2" || exit
echo "$backup"
pid=$(systemctl show -p MainPID --value "$3" 2>/dev/null)
if [ "\${pid:-0}" -gt 0 ]; then kill -HUP "$pid" && echo reloaded; fi`;

interface Look {
  readonly addresses: readonly string[];
  readonly content: string | undefined;
}

async function look(ctx: Context, { dest }: Params): Promise<Look> {
  const { stdout } = await ctx.sh(LOOK, { args: [dest] });
  const [addresses = '', ...rest] = stdout.split(/^--\n/m);
  const content = rest.join('--\n');
  return { addresses: addresses.split('\n').filter(Boolean), content: content === '' ? undefined : content };
}

/** Addresses in every `virtual_ipaddress` block of a configuration. */
export function virtualAddresses(content: string): readonly string[] {
  const blocks = content.replace(/[#!].*$/gm, '').matchAll(/virtual_ipaddress(?:_excluded)?\s*\{([^}]*)\}/g);
  return [...blocks].flatMap(([, block = '']) =>
    block
      .split('\n')
      .map((line) => line.trim().split(/[\s/]/, 1)[0] ?? '')
      .filter(Boolean),
  );
}

const held = ({ addresses, content }: Look, also: string): readonly string[] => {
  const virtual = new Set([...virtualAddresses(content ?? ''), ...virtualAddresses(also)]);
  return addresses.filter((address) => virtual.has(address));
};

async function check(ctx: Context, params: Params): Promise<Checked> {
  const [wanted, now] = await Promise.all([renderLocal(ctx, params.src), look(ctx, params)]);
  const vips = held(now, wanted);
  const changes: Change[] = [];
  if (now.content !== wanted) changes.push({ what: params.dest, before: now.content ?? '', after: wanted });
  const kept = virtualAddresses(wanted);
  for (const address of now.content === wanted ? [] : vips) {
    if (!kept.includes(address)) changes.push({ what: `VIP ${address}`, before: 'held', after: 'given up' });
  }
  return { changes, result: { vips_before: vips, vips_after: vips } };
}

async function settle(
  ctx: Context,
  params: Params,
  kept: readonly string[],
  wanted: string,
): Promise<readonly string[]> {
  return waitUntil(ctx.signal, params.wait, async () => {
    const value = held(await look(ctx, params), wanted);
    return { value, isDone: kept.every((address) => value.includes(address)) };
  });
}

async function apply(ctx: Context, params: Params, found: Checked): Promise<Checked> {
  const wanted = await renderLocal(ctx, params.src);
  const before = (found.result?.['vips_before'] ?? []) as readonly string[];
  const candidate = `${params.dest}.drillbook`;
  const { code: made } = await ctx.sh('mkdir -p "$(dirname "$1")"', { args: [params.dest] });
  if (made !== 0) throw new StepFailed(`The directory of ${params.dest} cannot be made`);
  await ctx.put(candidate, wanted, 0o640);
  const { code, stdout, stderr } = await ctx.job(SWAP, { args: [candidate, params.dest, params.service] });
  if (code === 65)
    throw new StepFailed(
      `keepalived refuses the configuration: ${stderr.trim().split('\n').join('; ')}`,
      { stderr },
      {
        hint: `${params.dest} was left as it is`,
      },
    );
  if (code !== 0)
    throw new StepFailed(`${params.dest} could not be put in place: ${stderr.trim()}`, { code, stderr });
  const [backup = '', reloaded] = stdout.split('\n');
  const kept = before.filter((address) => virtualAddresses(wanted).includes(address));
  const after = reloaded === 'reloaded' ? await settle(ctx, params, kept, wanted) : before;
  const lost = kept.filter((address) => !after.includes(address));
  const result = {
    vips_before: before,
    vips_after: after,
    backup: backup || null,
    is_reloaded: reloaded === 'reloaded',
  };
  if (lost.length > 0)
    throw new StepFailed(
      `${ctx.host.name} lost ${lost.join(', ')} when keepalived read its new configuration`,
      result,
      {
        hint: `see who has it now (cluster.status) and the journal of ${params.service}; the old configuration is ${backup || 'not there: there was none'}`,
      },
    );
  return { changes: [], result };
}

export default state({
  summary: 'keepalived runs with this configuration; tested by keepalived itself before it is swapped in',
  source: 'keepalived(8), keepalived.conf(5)',
  params,
  shorthand: 'src',
  examples: `
- name: Virtual addresses
  keepalived.config: { src: keepalived.conf.hbs, service: dbackup3-keepalived }
`,
  returns: {
    vips_before: z.array(z.string()).describe('Virtual addresses on this node before'),
    vips_after: z.array(z.string()).describe('Virtual addresses on this node afterwards'),
    backup: z
      .string()
      .nullable()
      .optional()
      .describe('Copy of the file as it was, or null; where it was changed'),
    is_reloaded: z
      .boolean()
      .optional()
      .describe('Whether a running keepalived was told; where it was changed'),
  },
  check,
  apply,
});
