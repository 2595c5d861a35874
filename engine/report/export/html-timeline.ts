import { durationText, outcomeWord } from '../wording.ts';
import { axisOf, type Axis } from './axis.ts';
import type { Chronicle, StepResult, StepStory } from './chronicle.ts';
import { markup, type Html } from './markup.ts';

const ROW = 22;
const HEAD = 20;
/** In percent of the width: bars closer together than this would be one blot anyway. */
const BLOT = 0.12;

interface Bar {
  readonly from: number;
  to: number;
  readonly look: string;
  readonly titles: string[];
}

const lookOf = ({ outcome, isForgiven }: StepResult): string =>
  outcome === null ? 'open' : isForgiven ? 'forgiven' : outcome;

function titleOf({ name }: StepStory, result: StepResult, isCheck: boolean): string {
  const { outcome, durationMs, reason, isForgiven } = result;
  const word = outcome === null ? 'cut off' : outcomeWord(outcome, { isCheck, isForgiven });
  const why = reason === null ? '' : ` — ${reason.slice(0, 200)}`;
  return `${name}: ${word}, ${durationText(durationMs)}${why}`;
}

/** The bars of one host; what is too narrow to be told apart becomes one. */
function barsOf({ steps, isCheck, endedAt }: Chronicle, host: string, axis: Axis): readonly Bar[] {
  const all = steps
    .flatMap((step) => step.results.filter((one) => one.host === host).map((result) => ({ step, result })))
    .filter(({ result }) => result.outcome !== 'skipped' && result.outcome !== 'not_run')
    .toSorted((a, b) => a.result.from.localeCompare(b.result.from));
  const bars: Bar[] = [];
  for (const { step, result } of all) {
    const [from, to] = [axis.at(result.from), axis.at(result.until ?? endedAt)];
    const [look, title] = [lookOf(result), titleOf(step, result, isCheck)];
    const last = bars.at(-1);
    if (last && last.look === look && to - last.from < BLOT * 2) {
      last.to = Math.max(last.to, to);
      last.titles.push(title);
    } else bars.push({ from, to, look, titles: [title] });
  }
  return bars;
}

const MOST_TITLES = 12;

const titleText = (titles: readonly string[]): string =>
  titles.length <= MOST_TITLES
    ? titles.join('\n')
    : [...titles.slice(0, MOST_TITLES), `and ${titles.length - MOST_TITLES} more`].join('\n');

const rect = (
  look: string,
  from: number,
  to: number,
  y: number,
  height: number,
  title: string,
  least = BLOT,
): Html =>
  markup`<rect
    class="${look}"
    x="${from.toFixed(2)}%"
    y="${y}"
    width="${Math.max(to - from, least).toFixed(2)}%"
    height="${height}"
    ><title>${title}</title></rect
  >`;

const waitsOf = ({ steps, endedAt }: Chronicle, host: string, axis: Axis, y: number): readonly Html[] =>
  steps.flatMap(({ name, results }) =>
    results.flatMap(({ host: of, words, until }) => {
      const tries = of === host ? words.filter(({ attempt }) => attempt !== null) : [];
      const [first] = tries;
      if (!first) return [];
      const title = `${name}: waited\n${tries
        .slice(-3)
        .map(({ message }) => message)
        .join('\n')}`;
      return [rect('wait', axis.at(first.at), axis.at(until ?? endedAt), y + 4, 14, title)];
    }),
  );

const awayOf = ({ away, endedAt }: Chronicle, host: string, axis: Axis, y: number): readonly Html[] =>
  away
    .filter((one) => one.host === host)
    .map(({ from, until, message }) =>
      rect('away', axis.at(from), axis.at(until ?? endedAt), y + 1, ROW - 2, `away: ${message}`),
    );

/** The role of a node from one look to the next. */
function rolesAlong({ roles, endedAt }: Chronicle, host: string, axis: Axis, y: number): readonly Html[] {
  const seen = roles.flatMap(({ at, roles: found }) => {
    const role = Object.hasOwn(found, host) ? found[host] : undefined;
    return role === undefined ? [] : [{ at, role }];
  });
  return seen.map(({ at, role }, i) => {
    const look = ['primary', 'standby', 'free'].includes(role) ? `role-${role}` : 'role-unknown';
    const until = seen[i + 1]?.at ?? endedAt;
    return rect(
      look,
      axis.at(at),
      axis.at(until),
      y + ROW - 4,
      3,
      `${role} when looked at, ${at.slice(11, 19)}`,
    );
  });
}

function rowOf(chronicle: Chronicle, host: string, axis: Axis, index: number): Html {
  const y = HEAD + index * ROW;
  const bars = barsOf(chronicle, host, axis).map(({ from, to, look, titles }) =>
    rect(`bar ${look}`, from, to, y + 4, 12, titleText(titles)),
  );
  return markup`${index % 2 === 0 ? markup`<rect class="stripe" x="0" y="${y}" width="100%" height="${ROW}" />` : undefined}${bars}${waitsOf(chronicle, host, axis, y)}${awayOf(chronicle, host, axis, y)}${rolesAlong(chronicle, host, axis, y)}`;
}

const LEGEND = [
  ...[
    ['ok', 'ok'],
    ['changed', 'changed'],
    ['failed', 'failed'],
    ['forgiven', 'failed, forgiven'],
  ],
  ...[
    ['unreachable', 'unreachable'],
    ['in_doubt', 'in doubt'],
    ['open', 'cut off'],
  ],
] as const;
const OVER = [
  ...[
    ['wait', 'waiting for another attempt'],
    ['away', 'host away'],
    ['gap', 'interrupted (not to scale)'],
  ],
  ...[
    ['role-primary', 'primary'],
    ['role-standby', 'standby'],
  ],
] as const;

/** Only what there is on this timeline. */
function legend(drawn: string): Html {
  const shown = [...LEGEND, ...OVER].filter(([look]) => new RegExp(`class="(bar )?${look}"`).test(drawn));
  const key = ([look, word]: readonly [string, string]): Html =>
    markup`<span
      ><svg width="14" height="12" aria-hidden="true">
        <rect
          class="${look}"
          x="0"
          y="${look.startsWith('role') ? 4 : 0}"
          width="14"
          height="${look.startsWith('role') ? 3 : 12}"
        /></svg
      >${word}</span
    >`;
  return markup`<p class="legend">${shown.map(key)}</p>`;
}

/** A row for each host, time from left to right: bars by step, waits, roles; interruptions across all of them. */
export function timeline(chronicle: Chronicle): Html {
  const worked = new Set(chronicle.steps.flatMap(({ results }) => results.map(({ host }) => host)));
  const hosts = [...new Set([...chronicle.hosts, ...worked])].filter((host) => worked.has(host));
  if (hosts.length === 0) return markup``;
  const axis = axisOf(chronicle.sessions);
  const height = HEAD + hosts.length * ROW;
  const ticks = axis.ticks.map(
    ({ x, text }) =>
      markup`<line
          class="tick"
          x1="${x.toFixed(2)}%"
          x2="${x.toFixed(2)}%"
          y1="${HEAD - 4}"
          y2="${height}"
        /><text class="${x > 92 ? 'end' : 'start'}" x="${x.toFixed(2)}%" y="12">${text}</text>`,
  );
  const gaps = axis.gaps.map(({ from, to, text }) =>
    rect('gap', from, to, 0, height, `interrupted for ${text}, then resumed`),
  );
  const rows = hosts.map((host, index) => rowOf(chronicle, host, axis, index));
  const drawing = markup`<svg
    class="time"
    width="100%"
    height="${height}"
    role="img"
    aria-label="What each host did when"
  >
    ${PATTERNS}${rows}${ticks}${gaps}
  </svg>`;
  const names = hosts.map((host) => markup`<div class="name" title="${host}">${host}</div>`);
  return markup`<section id="timeline">
    <h2>Timeline</h2>
    <div class="lanes">
      <div class="names">${names}</div>
      ${drawing}
    </div>
    ${legend(drawing.html)}
  </section>`;
}

const PATTERNS = markup`<defs><pattern id="hatch-red" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch-red" width="3" height="6" /></pattern></defs>`;
