import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { fileChanges, LOOK, parseLook, place } from './_file.ts';
import type { Found, Wanted } from './_file.ts';
import { must, succeeded } from './_sh.ts';

const PROVIDERS = ['timesyncd', 'chrony', 'ntp'] as const;
type Provider = (typeof PROVIDERS)[number];

const params = z.strictObject({
  servers: z
    .array(z.string().regex(/^[A-Za-z0-9.:_-]+$/, { error: 'is no name or address of a server' }))
    .default([])
    .describe('NTP servers; none leaves the configuration as it is.'),
  provider: z
    .enum(['auto', ...PROVIDERS])
    .default('auto')
    .describe(
      'timesyncd, chrony or ntp (ntpd, ntpsec); auto: the one that runs, else the first of these that is installed (default auto).',
    ),
  backup: z.boolean().default(false).describe('Keep the old configuration as PATH.TIME~ (default false).'),
});

type Given = z.output<typeof params>;

const UNITS: Readonly<Record<Provider, readonly string[]>> = {
  timesyncd: ['systemd-timesyncd.service'],
  chrony: ['chrony.service', 'chronyd.service'],
  ntp: ['ntpsec.service', 'ntp.service', 'ntpd.service'],
};
const FILES: Readonly<Record<Provider, readonly string[]>> = {
  timesyncd: ['/etc/systemd/timesyncd.conf'],
  chrony: ['/etc/chrony/chrony.conf', '/etc/chrony.conf'],
  ntp: ['/etc/ntpsec/ntp.conf', '/etc/ntp.conf'],
};
const ALL_FILES = PROVIDERS.flatMap((provider) => FILES[provider]);
const ALL_UNITS = PROVIDERS.flatMap((provider) => UNITS[provider]);

// Arguments: number of files, files, units.
const READ = `${LOOK}
count=$1
shift
while [ "$count" -gt 0 ]; do look "$1" yes - whole; shift; count=$((count - 1)); done
echo
[ -d /run/systemd/system ] || { echo 'time_sync knows systemd only' >&2; exit 1; }
LC_ALL=C systemctl show -p Id,LoadState,ActiveState,UnitFileState,ConditionResult -- "$@"
echo
if container=$(systemd-detect-virt --container 2>/dev/null); then printf 'container=%s\\n' "$container"; fi
timedatectl show -p NTPSynchronized 2>/dev/null
if command -v chronyc >/dev/null 2>&1; then chronyc -c tracking 2>/dev/null | { IFS=, read -r _ _ _ _ offset _ && [ -n "$offset" ] && printf 'offset=%s\\n' "$offset"; }
elif command -v ntpq >/dev/null 2>&1; then ntpq -c 'rv 0 offset' 2>/dev/null | { IFS== read -r _ offset && [ -n "$offset" ] && printf 'offset_ms=%s\\n' "$offset"; }
# Asked over D-Bus it would be started.
elif systemctl is-active -q systemd-timesyncd; then timedatectl timesync-status 2>/dev/null | while read -r key value; do [ "$key" = Offset: ] && printf 'offset_text=%s\\n' "$value"; done
fi
exit 0`;

interface Unit {
  readonly id: string;
  readonly isActive: boolean;
  readonly isEnabled: boolean;
}

interface Seen {
  readonly provider: Provider;
  readonly unit: Unit;
  /** Time services that run beside it, and must not: two would pull the clock to and fro. */
  readonly others: readonly string[];
  readonly wanted: Wanted | undefined;
  readonly found: Found | undefined;
  /** A container has the clock of its host: systemd starts no time service in it. */
  readonly container: string | undefined;
  readonly result: Readonly<Record<string, unknown>>;
}

const fields = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

/** The configuration with these servers in place of those it names. */
export function withServers(provider: Provider, text: string, servers: readonly string[]): string {
  if (servers.length === 0) return text;
  const lines = text.split('\n');
  if (provider === 'timesyncd') {
    const line = `NTP=${servers.join(' ')}`;
    const own = lines.findLastIndex((one) => /^\s*NTP\s*=/.test(one));
    if (own >= 0)
      return lines
        .with(own, line)
        .filter((one, i) => i === own || !/^\s*NTP\s*=/.test(one) || i > own)
        .join('\n');
    const commented = lines.findIndex((one) => /^\s*#\s*NTP\s*=/.test(one));
    if (commented >= 0) return lines.with(commented, line).join('\n');
    const section = lines.findIndex((one) => one.trim() === '[Time]');
    if (section >= 0) return lines.toSpliced(section + 1, 0, line).join('\n');
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}[Time]\n${line}\n`;
  }
  const source = /^\s*(server|pool|peer)\s/;
  const wanted = servers.map((server) => `server ${server} iburst`);
  const present = lines.filter((line) => source.test(line)).map((line) => line.trim());
  if (present.length === wanted.length && present.every((line, i) => line === wanted[i])) return text;
  const at = lines.findIndex((line) => source.test(line));
  const kept = lines.filter((line) => !source.test(line));
  return kept.toSpliced(at < 0 ? kept.length - (kept.at(-1) === '' ? 1 : 0) : at, 0, ...wanted).join('\n');
}

function choose(given: Given, units: ReadonlyMap<string, Unit>): { provider: Provider; unit: Unit } {
  const installed = PROVIDERS.flatMap((provider) => {
    const unit = UNITS[provider].map((id) => units.get(id)).find((one) => one !== undefined);
    return unit === undefined ? [] : [{ provider, unit }];
  });
  const chosen =
    given.provider === 'auto'
      ? (installed.find(({ unit }) => unit.isActive) ??
        installed.find(({ unit }) => unit.isEnabled) ??
        installed[0])
      : installed.find(({ provider }) => provider === given.provider);
  if (chosen !== undefined) return chosen;
  const what = given.provider === 'auto' ? 'no time service' : given.provider;
  throw new StepFailed(
    `${what} is not installed`,
    {},
    { hint: 'install systemd-timesyncd, chrony or ntpsec with `package`' },
  );
}

async function look(ctx: Context, given: Given): Promise<Seen> {
  const said = await must(ctx, 'time_sync', READ, {
    args: [String(ALL_FILES.length), ...ALL_FILES, ...ALL_UNITS],
  });
  const lines = said.split('\n');
  const found = ALL_FILES.map((path, i): [string, Found] => [
    path,
    parseLook(path, lines.slice(i * 4, i * 4 + 4)),
  ]);
  const blocks = lines
    .slice(ALL_FILES.length * 4 + 1)
    .join('\n')
    .split('\n\n');
  const units = new Map<string, Unit>();
  for (const [i, id] of ALL_UNITS.entries()) {
    const value = fields(blocks[i] ?? '');
    if (value.get('LoadState') !== 'loaded') continue;
    units.set(id, {
      id: value.get('Id') ?? id,
      isActive: ['active', 'activating'].includes(value.get('ActiveState') ?? ''),
      isEnabled:
        (value.get('UnitFileState') ?? '').startsWith('enabled') || value.get('UnitFileState') === 'alias',
    });
  }
  const rest = fields(blocks.at(-1) ?? '');
  const { provider, unit } = choose(given, units);
  const files = new Map(found);
  const path = FILES[provider].find((one) => files.get(one)?.kind === 'file') ?? FILES[provider][0] ?? '';
  const at = files.get(path);
  const text = at?.content?.toString() ?? '';
  const edited = withServers(provider, text, given.servers);
  const offset = Number(rest.get('offset') ?? Number(rest.get('offset_ms') ?? Number.NaN) / 1000);
  const others = [...units.values()].filter(({ id, isActive }) => isActive && id !== unit.id);
  return {
    provider,
    unit,
    others: [...new Set(others.map(({ id }) => id))],
    found: at,
    wanted:
      edited === text
        ? undefined
        : { path, content: Buffer.from(edited), isFollowed: true, isBackedUp: given.backup },
    container: rest.get('container'),
    result: {
      provider,
      service: unit.id,
      synchronized: rest.get('NTPSynchronized') === 'yes',
      offset_seconds: Number.isNaN(offset) ? null : offset,
      offset: rest.get('offset_text') ?? (Number.isNaN(offset) ? null : `${offset}s`),
      config_file: path,
      container: rest.get('container') ?? null,
    },
  };
}

function changesOf({ wanted, found, unit, others, container }: Seen): Change[] {
  const changes: Change[] = wanted !== undefined && found !== undefined ? fileChanges(wanted, found) : [];
  if (!unit.isEnabled)
    changes.push({ what: `service ${unit.id} at boot`, before: 'disabled', after: 'enabled' });
  if (!unit.isActive && container === undefined)
    changes.push({ what: `service ${unit.id}`, before: 'stopped', after: 'started' });
  for (const other of others)
    changes.push({ what: `service ${other}`, before: 'started', after: 'stopped and disabled' });
  return changes;
}

const memory = new WeakMap<Checked, Seen>();

async function check(ctx: Context, given: Given): Promise<Checked> {
  const seen = await look(ctx, given);
  const checked = { changes: changesOf(seen), result: seen.result };
  memory.set(checked, seen);
  return checked;
}

// A service that ran with the old servers is started anew.
const SERVE = `
unit=$1 verb=$2
shift 2
for one in "$@"; do
  systemctl disable --now -- "$one" || exit 1
done >/dev/null 2>&1
systemctl enable -q -- "$unit" || exit 1
[ -z "$verb" ] || systemctl "$verb" -- "$unit"`;

async function apply(ctx: Context, given: Given, checked: Checked): Promise<Checked> {
  const seen = memory.get(checked) ?? (await look(ctx, given));
  let backup: string | undefined;
  if (seen.wanted !== undefined && seen.found !== undefined)
    backup = (await place(ctx, seen.wanted, seen.found)).backup;
  const isLeft = seen.container !== undefined && !seen.unit.isActive;
  const verb = isLeft ? '' : seen.wanted === undefined ? 'start' : 'restart';
  const args = [seen.unit.id, verb, ...seen.others];
  succeeded(`time service ${seen.unit.id}`, await ctx.job(SERVE, { args }));
  const after = await check(ctx, given);
  return backup === undefined ? after : { ...after, result: { ...after.result, backup_file: backup } };
}

export default state({
  summary: 'The clock follows NTP servers: by systemd-timesyncd, chrony or ntpd.',
  source: 'timesyncd.conf(5), chrony.conf(5), ntp.conf(5), timedatectl(1)',
  params,
  examples: `
- time_sync: { servers: [10.0.0.1, ntp.example.com] }
  register: clock
- time_sync: { provider: chrony, servers: [10.0.0.1] }
`,
  returns: {
    provider: z.enum(PROVIDERS).describe('which of them it is'),
    service: z.string().describe('its unit'),
    synchronized: z.boolean().describe('whether the clock follows a server now; it may take a minute'),
    offset_seconds: z.number().nullable().describe('last known distance from the server, null when unknown'),
    offset: z.string().nullable().describe('the same as text'),
    config_file: z.string().describe('its configuration'),
    container: z
      .string()
      .nullable()
      .describe("kind of container, null outside: there the clock is the host's, and no time service runs"),
    backup_file: z.string().optional().describe('where the old configuration was kept'),
  },
  check,
  apply,
});
