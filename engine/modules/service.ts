import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { lastLine, must } from './_sh.ts';

const params = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*$/, { error: 'is no name of a service' })
    .describe('Name of the systemd unit (.service may be left out) or of the script in /etc/init.d.'),
  state: z
    .enum(['started', 'stopped', 'restarted', 'reloaded'])
    .optional()
    .describe(
      'started, stopped: changed only where it is not so; restarted, reloaded: always done, so always changed.',
    ),
  enabled: z.boolean().optional().describe('Whether it starts at boot.'),
  masked: z.boolean().optional().describe('Whether systemd refuses to start it at all.'),
  daemon_reload: z
    .boolean()
    .default(false)
    .describe(
      'Let systemd read its unit files again first, even where it sees no need; then always changed (default false).',
    ),
});

type Given = z.output<typeof params>;

const LOOK = `
look() {
  if [ -d /run/systemd/system ]; then
    echo manager=systemd
    LC_ALL=C systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,Type,RemainAfterExit,Result,NeedDaemonReload,MainPID,ConditionResult -- "$1"
    # The generator makes these of scripts; whether they start at boot only the script's links say.
    case $(ls -d /etc/init.d/"\${1%.service}" 2>/dev/null) in ?*)
      echo script=yes
      for link in /etc/rc[2345].d/S[0-9][0-9]"\${1%.service}"; do [ -e "$link" ] && echo booted=yes && break; done
    esac
  else
    echo manager=sysv
    name=\${1%.service}
    [ -x /etc/init.d/"$name" ] || { echo LoadState=not-found; return 0; }
    echo LoadState=loaded
    if /etc/init.d/"$name" status >/dev/null 2>&1 </dev/null; then echo ActiveState=active; else echo ActiveState=inactive; fi
    for link in /etc/rc[2345].d/S[0-9][0-9]"$name" /etc/runlevels/*/"$name"; do [ -e "$link" ] && echo booted=yes && break; done
  fi
  return 0
}
`;

interface Seen {
  readonly manager: string;
  readonly unit: string;
  readonly isThere: boolean;
  readonly isActive: boolean;
  readonly isEnabled: boolean;
  readonly isMasked: boolean;
  /** Nothing says whether it starts at boot: others start it. */
  readonly isStatic: boolean;
  readonly needsReload: boolean;
  /** It runs to its end and is done then: never seen active. */
  readonly isPassing: boolean;
  /** systemd did not start it, and calls that a success. */
  readonly isBarred: boolean;
  readonly result: Readonly<Record<string, unknown>>;
}

function parse(name: string, text: string): Seen {
  const value = new Map(
    text
      .split('\n')
      .map((line): [string, string] => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)]),
  );
  const get = (key: string): string => value.get(key) ?? '';
  const active = get('ActiveState');
  const file = get('UnitFileState');
  const isScripted = file === 'generated' || file === '' || get('manager') === 'sysv';
  return {
    manager: get('manager'),
    unit: get('Id') || name,
    isThere: get('LoadState') !== 'not-found' || get('script') === 'yes',
    isActive: ['active', 'reloading', 'refreshing'].includes(active),
    isEnabled: isScripted
      ? get('booted') === 'yes'
      : ['enabled', 'enabled-runtime', 'static', 'indirect', 'alias'].includes(file),
    isStatic: file === 'static' || file === 'indirect',
    isMasked: get('LoadState') === 'masked' || file.startsWith('masked'),
    needsReload: get('NeedDaemonReload') === 'yes',
    isPassing: get('Type') === 'oneshot' && get('RemainAfterExit') !== 'yes' && get('Result') === 'success',
    isBarred: get('ConditionResult') === 'no',
    result: {
      name: get('Id') || name,
      active,
      sub_state: get('SubState'),
      enabled: file || (get('booted') === 'yes' ? 'enabled' : 'disabled'),
      main_pid: Number(get('MainPID') || 0),
      exists: get('LoadState') !== 'not-found',
    },
  };
}

const runs = (seen: Seen): string => (seen.isThere ? (seen.isActive ? 'started' : 'stopped') : 'not there');

function changesOf(given: Given, seen: Seen): Change[] {
  const what = `service ${given.name}`;
  const changes: Change[] = [];
  if (given.daemon_reload) changes.push({ what: 'unit files of systemd', after: 'read again' });
  if (given.masked !== undefined && given.masked !== seen.isMasked) {
    changes.push({ what: `${what} masked`, before: String(seen.isMasked), after: String(given.masked) });
  }
  const isEnablable = seen.isThere && !seen.isStatic;
  if (given.enabled !== undefined && given.enabled !== seen.isEnabled && isEnablable) {
    changes.push({
      what: `${what} at boot`,
      before: seen.isEnabled ? 'enabled' : 'disabled',
      after: given.enabled ? 'enabled' : 'disabled',
    });
  }
  if (given.state === 'started' && !seen.isActive)
    changes.push({ what, before: runs(seen), after: 'started' });
  if (given.state === 'stopped' && seen.isActive) changes.push({ what, before: 'started', after: 'stopped' });
  if (given.state === 'restarted' || given.state === 'reloaded')
    changes.push({ what, before: runs(seen), after: given.state });
  return changes;
}

async function check(ctx: Context, given: Given): Promise<Checked> {
  const seen = parse(
    given.name,
    await must(ctx, `service ${given.name}`, `${LOOK}look "$1"`, { args: [given.name] }),
  );
  refuse(given, seen);
  return { changes: changesOf(given, seen), result: seen.result };
}

/** What no change can bring about is told by the look. */
function refuse({ name, state: wanted, enabled, masked, daemon_reload: isRead }: Given, seen: Seen): void {
  const isToRun = wanted !== undefined && wanted !== 'stopped';
  if (!seen.isThere && !isRead && (isToRun || enabled === true || masked === true))
    throw new StepFailed(`there is no service ${name}`, seen.result);
  if (
    seen.isMasked &&
    masked !== false &&
    (isToRun || enabled === true) &&
    !(wanted === 'started' && seen.isActive)
  )
    throw new StepFailed(`service ${name} is masked`, seen.result, { hint: 'masked: false lets it start' });
  if (seen.manager !== 'systemd' && masked !== undefined)
    throw new StepFailed('masked is known to systemd only', seen.result);
}

// Arguments: name, state, enabled, masked, daemon_reload; empty where nothing is asked for.
const APPLY = `${LOOK}
name=$1 short=\${1%.service}
tell() {
  if command -v journalctl >/dev/null 2>&1; then journalctl -q -n 12 --no-pager -o cat -u "$name" >&2; fi
  printf '%s\\n' "$1" >&2
  exit 1
}
if [ -d /run/systemd/system ]; then
  need=$(LC_ALL=C systemctl show -p LoadState,NeedDaemonReload,Id -- "$name")
  case "$5 $need" in yes*|*NeedDaemonReload=yes*|*LoadState=not-found*) systemctl daemon-reload || exit 1 ;; esac
  id=$(systemctl show -p Id -- "$name")
  id=\${id#Id=}
  if [ "$4" = no ]; then why=$(systemctl unmask -- "$id" 2>&1) || tell "cannot unmask $name: $why"; fi
  case $(systemctl show -p LoadState -- "$name") in
  LoadState=not-found) tell "there is no service $name" ;;
  LoadState=masked) [ "$2" = stopped ] || [ "$4" = yes ] || [ -z "$2" ] || tell "service $name is masked" ;;
  esac
  case $3 in
  yes) why=$(systemctl enable -- "$id" 2>&1) || tell "cannot enable $name: \${why##*
}" ;;
  no) why=$(systemctl disable -- "$id" 2>&1) || tell "cannot disable $name: \${why##*
}" ;;
  esac
  case $2 in
  started) verb=start ;; stopped) verb=stop ;; restarted) verb=restart ;; reloaded) verb=reload-or-restart ;; *) verb= ;;
  esac
  # Of one that keeps failing systemd counts the starts, and refuses at last.
  case $verb in start|restart) systemctl reset-failed -- "$name" 2>/dev/null ;; esac
  if [ -n "$verb" ]; then
    why=$(LC_ALL=C systemctl "$verb" -- "$name" 2>&1 </dev/null) || {
      how=$(systemctl show -p Result -- "$name")
      tell "service $name did not get $2 (\${how#Result=}): \${why%%
*}"
    }
  fi
  if [ "$4" = yes ]; then why=$(systemctl mask -- "$id" 2>&1) || tell "cannot mask $name: $why"; fi
else
  [ -x /etc/init.d/"$short" ] || tell "there is no service $name"
  [ -z "$4" ] || tell "masked is known to systemd only"
  case $3 in
  yes|no)
    if command -v update-rc.d >/dev/null 2>&1; then
      if [ "$3" = yes ]; then update-rc.d "$short" defaults && update-rc.d "$short" enable; else update-rc.d "$short" disable; fi
    elif command -v chkconfig >/dev/null 2>&1; then
      if [ "$3" = yes ]; then chkconfig "$short" on; else chkconfig "$short" off; fi
    elif command -v rc-update >/dev/null 2>&1; then
      if [ "$3" = yes ]; then rc-update add "$short" default; else rc-update del "$short" default; fi
    else tell "nothing on the node sets what starts at boot"; fi >&2 || tell "cannot set whether $name starts at boot"
  esac
  case $2 in
  started) verb=start ;; stopped) verb=stop ;; restarted) verb=restart ;; reloaded) verb=reload ;; *) verb= ;;
  esac
  if [ -n "$verb" ]; then
    why=$(/etc/init.d/"$short" "$verb" 2>&1 </dev/null) || tell "service $name did not get $2: \${why##*
}"
  fi
fi
look "$name"`;

const flag = (value: boolean | undefined): string => (value === undefined ? '' : value ? 'yes' : 'no');

async function apply(ctx: Context, given: Given): Promise<Checked> {
  // A start may take minutes: after an interruption it is waited for, and nothing is started a second time.
  const said = await ctx.job(APPLY, {
    args: [given.name, given.state ?? '', flag(given.enabled), flag(given.masked), flag(given.daemon_reload)],
  });
  if (said.code !== 0) {
    const log = said.stderr.trimEnd().split('\n').slice(0, -1);
    throw new StepFailed(
      lastLine(said.stderr) || `service ${given.name}: exit code ${said.code}`,
      { name: given.name, log },
      { hint: log.at(-1) },
    );
  }
  const seen = parse(given.name, said.stdout);
  if (
    given.state !== undefined &&
    given.state !== 'stopped' &&
    !seen.isActive &&
    seen.isBarred &&
    !seen.isPassing
  ) {
    throw new StepFailed(
      `service ${given.name} did not start: a condition of its unit is not met`,
      seen.result,
      {
        hint: `see Condition… in \`systemctl cat ${given.name}\` (often: its configuration file is missing)`,
      },
    );
  }
  // What is always done is done now; what was started and ran to its end is as wanted.
  const isDone = given.state === 'started' && seen.isPassing;
  const lasting = given.state === 'restarted' || given.state === 'reloaded' ? 'started' : given.state;
  return {
    changes: changesOf(
      { ...given, daemon_reload: false, state: isDone || seen.isPassing ? undefined : lasting },
      seen,
    ),
    result: seen.result,
  };
}

export default state({
  summary: 'A service: running or not, started at boot or not (systemd, or scripts in /etc/init.d).',
  source: 'systemctl(1), systemd.service(5), update-rc.d(8), chkconfig(8)',
  params,
  shorthand: 'name',
  examples: `
- service: { name: keepalived, state: started, enabled: true }
- service: { name: dbackup3-backupd, state: restarted }
- name: Stopped until the end of the play
  service: { name: cron, state: stopped }
  undo: { service: { name: cron, state: started } }
`,
  returns: {
    name: z.string().meta({ isLasting: true }).describe('name of the unit'),
    active: z.string().describe('active, inactive, failed, …'),
    sub_state: z.string().describe('running, exited, dead, …'),
    enabled: z.string().describe('as systemctl is-enabled says it'),
    main_pid: z.int().describe('process id, 0 when none'),
    exists: z.boolean().describe('whether the node knows the service'),
  },
  check,
  apply,
  obligation({ name, state: wanted }) {
    const unit = name.replace(/\.service$/, '');
    const own = { scope: 'host', isOwn: true } as const;
    if (wanted === 'stopped')
      return { ...own, opens: `service-stopped:${unit}`, message: `service ${unit} is stopped` };
    return wanted === undefined || wanted === 'reloaded'
      ? undefined
      : { ...own, closes: `service-stopped:${unit}` };
  },
});
