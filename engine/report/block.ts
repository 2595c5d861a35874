import type { RunEvent, StepOutcome } from '../core/event.ts';
import { stepLines, type Taste } from './lines.ts';
import type { Story } from './story.ts';
import { cut, oneLine, padEnd, padStart, width } from './text.ts';
import { countsText, durationText, OUTCOMES, outcomeWord } from './wording.ts';

type Finished = Extract<RunEvent, { event: 'step_finished' }>;
type Progress = Extract<RunEvent, { event: 'step_progress' }>;

interface Running {
  readonly since: number;
  message: string;
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

const isBad = (outcome: StepOutcome): boolean => ['failed', 'unreachable', 'in_doubt'].includes(outcome);

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
  const head = cut(block.name, Math.max(10, size.columns - 30), pen.ellipsis);
  const lines = [`${icon} ${pen.paint('bold', head)} ${pen.paint('gray', `${time}${tally}`)}`];
  const hostColumns = Math.max(0, ...[...running.keys()].map(width));
  const room = Math.max(0, size.rows - 2);
  const shown = [...running].slice(0, running.size > room + 1 ? room : running.size);
  for (const [host, { since, message }] of shown) {
    const left = `    ${padEnd(host, hostColumns)}  ${padStart(elapsed(since, size.now), 8)}  `;
    lines.push(left + cut(message, Math.max(8, size.columns - width(left) - 1), pen.ellipsis));
  }
  if (shown.length < running.size) {
    lines.push(pen.paint('gray', `    and ${running.size - shown.length} more`));
  }
  return lines;
}

/** The block when it is done: one line, and a few more for what failed or was asked for. */
export function finishedLines(block: Block, icon: string, story: Story, taste: Taste): readonly string[] {
  const { pen, isVerbose, isDiff } = taste;
  const { finished } = block;
  const [first] = finished;
  const hosts = new Set(finished.map(({ host }) => host));
  const where = hosts.size === 1 ? ` on ${first?.host ?? ''}` : '';
  const reasons = new Set(finished.map(({ reason }) => reason));
  const isSkipped = blockOutcome(block) === 'skipped';
  const reason =
    isSkipped && reasons.size === 1 && first?.reason ? ` ${pen.dash} ${oneLine(first.reason)}` : '';
  const time = durationText(Math.max(block.until - block.since, ...finished.map((step) => step.durationMs)));
  const worth = finished.filter(
    (step) =>
      isVerbose ||
      isBad(step.outcome) ||
      (step.module === 'debug' && step.outcome !== 'skipped') ||
      (isDiff && (step.changes ?? []).length > 0),
  );
  const isForgiven = finished.every((step) => !isBad(step.outcome) || step.isForgiven === true);
  return [
    `${icon} ${block.name} ${pen.dash} ${countsText(countsOf(finished), pen, { isCheck: story.isCheck, isForgiven })}${where} ${pen.paint('gray', time)}${pen.paint('gray', reason)}`,
    ...worth.flatMap((step) => stepLines(step, story, taste)),
  ];
}
