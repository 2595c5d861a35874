import type { Context } from '../core/module.ts';
import { parseGenerations } from '../modules/drbd/_generations.ts';
import type { Generations } from '../modules/drbd/_generations.ts';
import { POLICIES } from '../modules/drbd/_side.ts';
import { parseEvents } from '../modules/drbd/_status.ts';
import type { Resource } from '../modules/drbd/_status.ts';
import { parseStatus } from '../modules/pacemaker/_status.ts';
import type { Status } from '../modules/pacemaker/_status.ts';
import { parse } from '../modules/pacemaker/_xml.ts';
import type { DrbdSettings, Shape } from './_drbd-settings.ts';
import { WITNESSES, witnessArgs } from './_drbd-witnesses.ts';
import type { Seen } from './model.ts';

/** What one node says of itself. */
export interface Reading {
  /** Witness → its word. */
  readonly words: Readonly<Record<string, string>>;
  /** Undefined where the resource is down. */
  readonly resource: Resource | undefined;
  /** The same of another that goes with it. */
  readonly second: Resource | undefined;
  /** Volume by volume; none while it is connected, and where one of them does not tell its own. */
  readonly generations: readonly Generations[];
  /** What DRBD does by itself after a split, by how many of the nodes are primary then. */
  readonly policies: Readonly<Record<string, string>>;
  /** Unit → ActiveState, of those that are installed. */
  readonly units: Readonly<Record<string, string>>;
  /** Names of nodes that corosync reaches by each of its links. */
  readonly links: readonly { readonly nodeId: string; readonly link: string; readonly isUp: boolean }[];
  /** The cluster as it sees it; undefined where Pacemaker does not run. */
  readonly cluster: Status | undefined;
  /** A quorum device has cast its vote; undefined where there is none. */
  readonly hasVote: boolean | undefined;
  /** Undefined where Pacemaker does not run. */
  readonly guards: Guards | undefined;
}

/** What of Pacemaker's configuration guards the pair, or stands in its way. */
export interface Guards {
  /** Property of the cluster → its value. */
  readonly properties: Readonly<Record<string, string>>;
  /** Agents of the devices that fence. */
  readonly fencing: readonly string[];
  readonly hasPing: boolean;
  /** Ids of the constraints that keep a resource on a node or from one. */
  readonly locations: readonly string[];
}

/** A node and what it said. */
export type Node = Seen<Reading>;

/** One exchange: the witnesses, the units from `$7` on, DRBD, corosync, Pacemaker. `$6` node. */
const SCRIPT = `
node=$6
${WITNESSES}
for witness in drbd pacemaker mount vip; do eval "echo \\"word $witness \\$$witness\\""; done
resource=$1
shift 6
for unit; do
  state=$(systemctl show -p LoadState -p ActiveState "$unit" 2>/dev/null | sort -r | cut -d= -f2 | tr '\\n' ' ')
  case $state in 'loaded '*) echo "unit $unit \${state#* }" ;; esac
done
if systemctl -q is-active corosync; then
  corosync-cmapctl -m stats 2>/dev/null | sed -nE 's/^stats\\.knet\\.node([0-9]+)\\.link([0-9]+)\\.connected .*= ([01])$/link \\1 \\2 \\3/p'
  ! systemctl -q is-active corosync-qdevice || corosync-quorumtool -s 2>/dev/null | sed -nE 's/^ +[0-9]+ +[0-9]+ +([A-Z,]+) .*\\(local\\)$/device \\1/p'
fi
[ ! -e /proc/drbd ] || drbdsetup events2 --now --statistics
case $(drbdadm cstate "$resource" 2>/dev/null | sort -u) in
  ''|StandAlone|WFConnection|Connecting|Unconnected)
    drbdadm get-gi "$resource" 2>/dev/null | sed 's/^/gi /'
    ${POLICIES} ;;
esac
if systemctl -q is-active pacemaker; then
  cibadmin --query --no-children --xpath "//crm_config//nvpair | //rsc_location | //primitive[@class='stonith' or @type='ping']" 2>/dev/null
  crm_mon --one-shot --inactive --output-as=xml 2>/dev/null
fi
exit 0
`;

/** Of the elements that `cibadmin` found: none has children, two or more stand in one. */
function parseGuards(xml: string): Guards {
  const { children } = parse(xml);
  const of = (name: string): readonly Readonly<Record<string, string>>[] =>
    children.filter((one) => one.name === name).map(({ attributes }) => attributes);
  const primitives = of('primitive');
  return {
    properties: Object.fromEntries(of('nvpair').map(({ name = '', value = '' }) => [name, value])),
    fencing: primitives.flatMap(({ class: kind, type = '' }) => (kind === 'stonith' ? [type] : [])),
    hasPing: primitives.some(({ type }) => type === 'ping'),
    locations: of('rsc_location').map(({ id = '' }) => id),
  };
}

/** Reads what the script printed. */
export function parseReading(text: string, resource: string, second?: string): Reading {
  const at = text.indexOf('<pacemaker-result');
  const [before, xml] = at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at)];
  const found = /<xpath-query>[\s\S]*<\/xpath-query>/.exec(before)?.[0];
  const plain = found === undefined ? before : before.replace(found, '');
  const rows = plain.split('\n').map((line) => line.trim().split(' '));
  const of = (word: string): string[][] =>
    rows.filter(([first]) => first === word).map(([, ...rest]) => rest);
  const pairs = (word: string): Record<string, string> =>
    Object.fromEntries(of(word).map(([name = '', ...rest]) => [name, rest.join(' ')]));
  const cluster = /<node name=/.test(xml) ? parseStatus(xml) : undefined;
  const [device] = of('device');
  const generations = of('gi').map((words) => parseGenerations(words.join(' ')));
  const resources = parseEvents(plain);
  return {
    words: pairs('word'),
    resource: resources.find(({ name }) => name === resource),
    second: resources.find(({ name }) => name === second),
    generations: generations.every((one) => one !== undefined) ? generations : [],
    policies: pairs('policy'),
    units: pairs('unit'),
    links: of('link').map(([nodeId = '', link = '', up]) => ({ nodeId, link, isUp: up === '1' })),
    cluster,
    // `A,V,NMW`: the device is alive and votes (corosync-quorumtool(8)).
    hasVote: device === undefined ? undefined : (device[0] ?? '').split(',').slice(0, 2).join() === 'A,V',
    guards: found === undefined ? undefined : parseGuards(found),
  };
}

export async function readNode(context: Context, settings: DrbdSettings, shape: Shape): Promise<Reading> {
  const args = [...witnessArgs(settings, shape), context.host.name, ...shape.units];
  const { stdout } = await context.sh(SCRIPT, { args, isLook: true });
  return parseReading(stdout, settings.drbd.resource, shape.second);
}
