import { isBad } from '../core/event.ts';
import type { RunEvent, StepOutcome } from '../core/event.ts';
import { stepLines, type Taste } from './lines.ts';
import type { Story } from './story.ts';
import { cut, oneLine, padEnd, padStart, width, type Pen } from './text.ts';
import { countsText, durationText, lastWords, OUTCOMES, outcomeWord, WORD_COLUMNS } from './wording.ts';

type Finished = Extract<RunEvent, { event: 'step_finished' }>;
type Progress = Extract<RunEvent, { event: 'step_progress' }>;

interface Running {
  readonly since: number;
  message: string;
  percent?: number | undefined;
}

/** A step on all its hosts, as the live view shows it. */
export interface Block {
  readonly step: string;
  readonly name: string;
  readonly since: number;
  until: number;
  readonly running: Map<string, Running>;
  readonly finished: Finished[];
}

export const newBlock = (step: string, name: string, now: number): Block => ({
  step,
  name: oneLine(name),
  since: now,
  until: now,
  running: new Map(),
  finished: [],
});

/** Whole seconds: tenths would only flicker. */
const elapsed = (since: number, now: number): string =>
  now - since < 1000 ? '0 s' : durationText(Math.floor((now - since) / 1000) * 1000).replace('.0', '');

/** The outcome that speaks for the step: the worst of its hosts; a skip only when all skipped. */
export function blockOutcome({ finished }: Block): StepOutcome {
  const outcomes = new Set(finished.map(({ outcome }) => outcome));
  const order = ['skipped', 'not_run', 'ok', 'changed', ...OUTCOMES.slice(4)] as const;
  return order.findLast((outcome) => outcomes.has(outcome)) ?? 'not_run';
}

/** What a running step says of itself, on one line. */
export function progressText(event: Progress): string {
  const percent = event.percent === undefined ? '' : `${Math.round(event.percent)} %`;
  const item = event.item === undefined ? '' : `item ${event.item + 1}`;
  const word =
    event.outcome === undefined ? '' : outcomeWord(event.outcome, { isCheck: false, isForgiven: true });
  return [percent, item, word, oneLine(event.message)].filter(Boolean).join(' · ');
}

const countsOf = (finished: readonly Finished[]): Partial<Record<StepOutcome, number>> => {
  const counts: Partial<Record<StepOutcome, number>> = {};
  for (const { outcome } of finished) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
};

const BAR_COLUMNS = 10;

/** `▓▓▓▓░░░░░░ ` in front of what knows how far it is. */
function bar(percent: number | undefined, { isUnicode }: Pen): string {
  if (percent === undefined) return '';
  const full = Math.round((Math.min(100, Math.max(0, percent)) / 100) * BAR_COLUMNS);
  const [on, off] = isUnicode ? ['▓', '░'] : ['#', '.'];
  return `${on.repeat(full)}${off.repeat(BAR_COLUMNS - full)} `;
}

/** Hosts at work that a line stands for. */
interface Lane {
  readonly hosts: readonly string[];
  readonly since: number;
  readonly message: string;
  readonly percent: number | undefined;
}

/** A lane for each host where they fit into `room`, else one for those that say the same. */
function lanesOf(running: Block['running'], room: number): readonly Lane[] {
  const all = [...running].map(([host, { since, message, percent }]) => ({
    hosts: [host],
    since,
    message,
    percent,
  }));
  if (all.length <= room) return all;
  return [...Map.groupBy(all, ({ message }) => message).values()].map((lanes) => ({
    hosts: lanes.flatMap(({ hosts }) => hosts),
    since: Math.min(...lanes.map(({ since }) => since)),
    message: lanes[0]?.message ?? '',
    percent: lanes.length === 1 ? lanes[0]?.percent : undefined,
  }));
}

const nameOf = ({ hosts }: Lane): string =>
  hosts.length === 1 ? oneLine(hosts[0] ?? '') : `${hosts.length} hosts`;

/** What a lane says; of several hosts also which they are. */
function saysOf({ hosts, message, percent }: Lane, pen: Pen): string {
  const which = hosts.length === 1 ? '' : hosts.map(oneLine).join(', ');
  return [`${bar(percent, pen)}${message}`, which].filter(Boolean).join(` ${pen.dot} `);
}

/** The block while hosts are at work: a heading and a line per running host, at most `rows` lines of `columns`. */
export function runningLines(
  block: Block,
  icon: string,
  story: Story,
  { pen }: Taste,
  size: { readonly rows: number; readonly columns: number; readonly now: number },
): readonly string[] {
  const { finished, running } = block;
  const total = finished.length + running.size;
  const time = elapsed(block.since, size.now);
  const tally = total > 1 ? ` ${pen.dot} ${finished.length} of ${total}` : '';
  const forName = size.columns - 4 - width(`${time}${tally}`);
  const head = cut(block.name, Math.max(10, forName), pen.ellipsis);
  const lines = [`${icon} ${pen.paint('bold', head)} ${pen.paint('gray', `${time}${tally}`)}`];
  const room = Math.max(0, size.rows - 2);
  const lanes = lanesOf(running, room + 1);
  const shown = lanes.slice(0, lanes.length > room + 1 ? room : lanes.length);
  const hostColumns = Math.max(0, ...shown.map((lane) => width(nameOf(lane))));
  for (const lane of shown) {
    const left = `    ${padEnd(nameOf(lane), hostColumns)}  ${padStart(elapsed(lane.since, size.now), 8)}  `;
    lines.push(left + cut(saysOf(lane, pen), Math.max(8, size.columns - width(left) - 1), pen.ellipsis));
  }
  const hidden = lanes.slice(shown.length).reduce((sum, { hosts }) => sum + hosts.length, 0);
  if (hidden > 0) lines.push(pen.paint('gray', `    and ${hidden} more`));
  return lines;
}

/** The block when it is done, on one line. */
export function finishedLine(block: Block, icon: string, story: Story, { pen }: Taste): string {
  const { finished } = block;
  const [first] = finished;
  const hosts = new Set(finished.map(({ host }) => host));
  const where = hosts.size === 1 ? ` on ${first?.host ?? ''}` : '';
  const reasons = new Set(finished.map(({ reason }) => reason));
  const isSkipped = blockOutcome(block) === 'skipped';
  const reason =
    isSkipped && reasons.size === 1 && first?.reason ? ` ${pen.dash} ${oneLine(first.reason)}` : '';
  const time = durationText(Math.max(block.until - block.since, ...finished.map((step) => step.durationMs)));
  const isForgiven = finished.every((step) => !isBad(step.outcome) || step.isForgiven === true);
  return `${icon} ${block.name} ${pen.dash} ${countsText(countsOf(finished), pen, { isCheck: story.isCheck, isForgiven })}${where} ${pen.paint('gray', time)}${pen.paint('gray', reason)}`;
}

/** Ends that read the same on several hosts are told once. */
const keyOf = ({ outcome, reason, isForgiven, changes, result }: Finished): string =>
  JSON.stringify([outcome, reason, isForgiven, changes, lastWords(result)]);

function alikeLines(steps: readonly Finished[], story: Story, taste: Taste): readonly string[] {
  const [first, ...others] = steps;
  if (!first) return [];
  if (others.length === 0) return stepLines(first, story, taste);
  const names = others.slice(0, 6).map(({ host }) => oneLine(host));
  const more = others.length > names.length ? ` and ${others.length - names.length} more` : '';
  const also = taste.pen.paint(
    'gray',
    `${' '.repeat(WORD_COLUMNS + 4)}the same on ${names.join(', ')}${more}`,
  );
  return [...stepLines(first, story, taste), also];
}

/** The block when it is done: one line, and a few more for what failed or was asked for. */
export function finishedLines(block: Block, icon: string, story: Story, taste: Taste): readonly string[] {
  const { isVerbose, isDiff } = taste;
  const worth = block.finished.filter(
    (step) =>
      isVerbose ||
      isBad(step.outcome) ||
      (step.module === 'debug' && step.outcome !== 'skipped') ||
      (isDiff && (step.changes ?? []).length > 0),
  );
  return [
    finishedLine(block, icon, story, taste),
    ...[...Map.groupBy(worth, keyOf).values()].flatMap((steps) => alikeLines(steps, story, taste)),
  ];
}
