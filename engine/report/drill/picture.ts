import { BUCKET_MS } from '../../drill/record.ts';
import type { DrillRecord } from '../../drill/record.ts';
import type { Seen } from '../../drill/measures.ts';
import { axisOf, type Axis } from '../export/axis.ts';
import { markup, type Html } from '../export/markup.ts';
import { durationText } from '../wording.ts';

const HEAD = 20;
const ROW = 22;
const WRITES = 72;
/** Times the usual number of writes that still fit. */
const USUAL = 4;

/** What stands in a row, from when to when. */
export interface Stretch {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly look: string;
  readonly text: string;
}

interface Lane {
  readonly name: string;
  readonly stretches: readonly Stretch[];
}

/** Neighbours that look and say the same are one. */
function joined(stretches: readonly Stretch[]): readonly Stretch[] {
  const all: Stretch[] = [];
  for (const one of stretches) {
    const last = all.at(-1);
    if (last && last.look === one.look && last.text === one.text && last.untilMs === one.fromMs)
      all[all.length - 1] = { ...last, untilMs: one.untilMs };
    else all.push(one);
  }
  return all;
}

/** What `tell` makes of all nodes together, from each change of one of them to the next. */
function along(
  { seen, endedMs }: DrillRecord,
  tell: (now: ReadonlyMap<string, Seen>) => { readonly look: string; readonly text: string } | undefined,
): readonly Stretch[] {
  const now = new Map<string, Seen>();
  const sorted = seen.toSorted((a, b) => a.ms - b.ms);
  const stretches = sorted.flatMap((one, i) => {
    now.set(one.node, one);
    const told = tell(now);
    const untilMs = sorted[i + 1]?.ms ?? endedMs;
    return told && untilMs > one.ms ? [{ fromMs: one.ms, untilMs, ...told }] : [];
  });
  return joined(stretches);
}

const ROLES: Readonly<Record<string, string>> = {
  primary: 'role-primary',
  standby: 'role-standby',
  offline: 'away',
};
const REPLICATION: Readonly<Record<string, string>> = {
  normal: 'ok',
  broken: 'failed',
  disconnected: 'changed',
};

const rolesOf = (record: DrillRecord, node: string): readonly Stretch[] =>
  along(record, (now) => {
    const role = now.get(node)?.role;
    return role === undefined ? undefined : { look: ROLES[role] ?? 'role-unknown', text: `${node}: ${role}` };
  });

/** Who holds the VIPs: in the colour of a node that is first or second, red where two hold them. */
const holdersOf = (record: DrillRecord): readonly Stretch[] =>
  along(record, (now) => {
    const holders = [...now.values()].filter(({ vips }) => vips.length > 0).map(({ node }) => node);
    if (holders.length === 0) return { look: 'role-unknown', text: 'on no node' };
    const look = holders.length > 1 ? 'failed' : holders[0] === record.nodes[0] ? 'node-1' : 'node-2';
    return { look, text: `VIPs on ${holders.join(' and ')}` };
  });

/** Of the node that is standby; of the one that is not primary where there is none. */
const replicationOf = (record: DrillRecord): readonly Stretch[] =>
  along(record, (now) => {
    const all = [...now.values()];
    const of = all.find(({ role }) => role === 'standby') ?? all.find(({ role }) => role !== 'primary');
    if (of === undefined) return undefined;
    return {
      look: REPLICATION[of.replication] ?? 'role-unknown',
      text: `into ${of.node}: ${of.replication}`,
    };
  });

/** Every row of the picture but the writes. Pure. */
export function lanesOf(record: DrillRecord): readonly Lane[] {
  const { phases, faults, playbooks, nodes, endedMs } = record;
  const ran = playbooks.filter(({ run }) => run !== null);
  const lanes: readonly Lane[] = [
    {
      name: 'phases',
      stretches: phases.map(({ phase, fromMs, untilMs }, i) => ({
        ...{ fromMs, untilMs, look: i % 2 === 0 ? 'phase even' : 'phase odd' },
        text: phase,
      })),
    },
    {
      name: 'faults',
      stretches: faults.map(({ name, fromMs, untilMs }) => ({
        ...{ fromMs, untilMs: untilMs ?? endedMs, look: 'away', text: name },
      })),
    },
    ...nodes.map((node) => ({ name: node, stretches: rolesOf(record, node) })),
    { name: 'VIP', stretches: holdersOf(record) },
    { name: 'replication', stretches: replicationOf(record) },
    {
      name: 'playbooks',
      stretches: ran.map(({ playbook, fromMs, untilMs, exitCode }) => ({
        ...{ fromMs, untilMs, look: exitCode === 0 ? 'changed' : 'failed' },
        text: playbook.split('/').slice(-2).join('/'),
      })),
    },
  ];
  return lanes.filter(({ stretches }) => stretches.length > 0);
}

const percent = (x: number): string => `${x.toFixed(2)}%`;

/** Acknowledged writes as one shape, a step for each bar. */
function shapeOf(writes: readonly number[], count: number, most: number): string {
  const steps = Array.from({ length: count }, (_, i) => `V${most - Math.min(most, writes[i] ?? 0)}H${i + 1}`);
  return `M0 ${most}${steps.join('')}V${most}Z`;
}

/** Height of the picture in writes: what clients catch up with after a gap would make all else flat. */
function heightOf(writes: readonly number[]): number {
  const busy = writes.filter((count) => count > 0).toSorted((a, b) => a - b);
  const usual = busy[Math.floor(busy.length / 2)] ?? 1;
  return Math.max(1, Math.min(busy.at(-1) ?? 1, usual * USUAL));
}

const secondsText = (ms: number): string => durationText(Math.round(ms / 100) * 100);

function writesRow({ writes, endedMs, measures }: DrillRecord, x: (ms: number) => number): Html {
  const count = Math.max(1, Math.ceil(endedMs / BUCKET_MS));
  const most = heightOf(writes);
  const gap = measures?.gap;
  return markup`<svg
      x="0"
      y="${HEAD}"
      width="${percent(x(count * BUCKET_MS))}"
      height="${WRITES}"
      viewBox="0 0 ${count} ${most}"
      preserveAspectRatio="none"
    >
      <path class="writes" d="${shapeOf(writes, count, most)}" /></svg
    >${
      gap === undefined
        ? undefined
        : markup`<rect
              class="rto"
              x="${percent(x(gap.fromMs))}"
              y="${HEAD}"
              width="${percent(Math.max(0.15, x(gap.untilMs) - x(gap.fromMs)))}"
              height="${WRITES}"
              ><title>no write acknowledged for ${secondsText(gap.untilMs - gap.fromMs)}</title></rect
            ><text x="${percent(x(gap.untilMs) + 0.4)}" y="${HEAD + 12}">${secondsText(gap.untilMs - gap.fromMs)}</text>`
    }`;
}

function laneRow({ stretches }: Lane, x: (ms: number) => number, y: number): Html {
  const bars = stretches.map(({ fromMs, untilMs, look, text }) => {
    const [from, width] = [x(fromMs), Math.max(0.15, x(untilMs) - x(fromMs))];
    const isWide = width > text.length * 0.75 + 1;
    return markup`<rect class="${look}" x="${percent(from)}" y="${y + 3}" width="${percent(width)}" height="16"
        ><title>${text}, from ${secondsText(fromMs)} to ${secondsText(untilMs)}</title></rect
      >${isWide ? markup`<text class="on ${look}" x="${percent(from + 0.4)}" y="${y + 15}">${text}</text>` : undefined}`;
  });
  return markup`${bars}`;
}

const PATTERNS = markup`<defs><pattern id="hatch-red" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch-red" width="3" height="6" /></pattern></defs>`;

/** Writes, phases, faults, roles, VIP, replication and playbooks over one another, on one axis of time. */
export function picture(record: DrillRecord): Html {
  const start = Date.parse(record.startedAt);
  const iso = (ms: number): string => new Date(start + ms).toISOString();
  const axis: Axis = axisOf([{ from: iso(0), until: iso(record.endedMs), operator: '', end: 'unknown' }]);
  const x = (ms: number): number => axis.at(iso(Math.min(ms, record.endedMs)));
  const lanes = lanesOf(record);
  const top = HEAD + WRITES + 4;
  const height = top + lanes.length * ROW;
  const ticks = axis.ticks.map(
    ({ x: at, text }) =>
      markup`<line class="tick" x1="${percent(at)}" x2="${percent(at)}" y1="${HEAD - 4}" y2="${height}" /><text
          class="${at > 92 ? 'end' : 'start'}"
          x="${percent(at)}"
          y="12"
          >${text}</text
        >`,
  );
  const rows = lanes.map((lane, i) => laneRow(lane, x, top + i * ROW));
  const names = lanes.map(({ name }) => markup`<div class="name" title="${name}">${name}</div>`);
  return markup`<section id="picture">
    <h2>What happened when</h2>
    <div class="lanes">
      <div class="names">
        <div class="name writes-name" title="acknowledged writes in 100 ms">writes</div>
        ${names}
      </div>
      <svg class="time" width="100%" height="${height}" role="img" aria-label="Writes, phases, faults, roles, VIP and replication over time">
        ${PATTERNS}${ticks}${writesRow(record, x)}${rows}
      </svg>
    </div>
    <p class="legend">
      Writes: acknowledged in each 100 ms (${String(heightOf(record.writes))} and more fill the height); in red the longest time without one. Times are
      seconds since the drill began.
    </p>
  </section>`;
}

/** Beside the style of all reports. */
export const PICTURE_STYLE = `
.writes-name { height: ${WRITES + 4}px; line-height: ${WRITES}px; }
path.writes { fill: var(--ok); }
rect.rto { fill: var(--failed); fill-opacity: .28; }
rect.phase.even { fill: var(--tint); stroke: var(--line); } rect.phase.odd { fill: var(--line); }
rect.node-1 { fill: var(--primary); } rect.node-2 { fill: var(--changed); }
svg text.on { fill: #fff; pointer-events: none; } svg text.on.phase, svg text.on.role-unknown, svg text.on.away { fill: var(--ink); }
td.met { color: var(--ok); font-weight: 600; } td.missed { color: var(--failed); font-weight: 600; }
`;
