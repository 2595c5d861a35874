import { isBad } from '../core/event.ts';
import type { Counts, RunEvent } from '../core/event.ts';
import { oneLine, padEnd, width, type Pen } from './text.ts';
import {
  changeText,
  countsText,
  durationText,
  outcomeColour,
  outcomeWord,
  protectionTexts,
} from './wording.ts';

type Finished = Extract<RunEvent, { event: 'step_finished' }>;

/** What the events so far add up to; all a recap needs. */
export interface Story {
  run: string;
  isCheck: boolean;
  /** Names of the hosts, and how wide the longest is: for aligned columns. */
  readonly hosts: Set<string>;
  hostColumns: number;
  readonly counts: Map<string, Counts>;
  /** Step name → what changed there → hosts. */
  readonly changes: Map<string, Map<string, Set<string>>>;
  readonly failures: Finished[];
  /** Cluster → what guards it. */
  protection: Readonly<Record<string, string>>;
  /** What is bent and not put right: obligation → in words. */
  readonly open: Map<string, string>;
  end: Extract<RunEvent, { event: 'run_finished' | 'run_interrupted' }> | undefined;
}

export const newStory = (): Story => ({
  run: '',
  isCheck: false,
  hosts: new Set(),
  hostColumns: 0,
  counts: new Map(),
  changes: new Map(),
  failures: [],
  protection: {},
  open: new Map(),
  end: undefined,
});

function tellStep(story: Story, event: Finished, pen: Pen): void {
  const counts = story.counts.get(event.host) ?? {};
  story.counts.set(event.host, { ...counts, [event.outcome]: (counts[event.outcome] ?? 0) + 1 });
  if (isBad(event.outcome) && event.isForgiven !== true) story.failures.push(event);
  if (event.outcome !== 'changed' && (event.changes ?? []).length === 0) return;
  if (event.outcome === 'skipped' || event.outcome === 'not_run') return;
  const texts = event.changes?.length ? event.changes.map((change) => changeText(change, pen)) : ['ran'];
  const step = story.changes.get(event.name) ?? new Map<string, Set<string>>();
  story.changes.set(event.name, step);
  for (const text of texts) step.set(text, (step.get(text) ?? new Set()).add(event.host));
}

/** Adds one event to the story. */
export function tell(story: Story, event: RunEvent, pen: Pen): void {
  story.run = event.run;
  if (event.event === 'run_started') {
    story.isCheck = event.isCheck;
    story.protection = event.protection ?? {};
  }
  if (event.event === 'run_started' || event.event === 'play_started') {
    for (const host of event.hosts) story.hosts.add(host);
    story.hostColumns = Math.max(story.hostColumns, ...event.hosts.map(width));
  }
  if (event.event === 'step_finished') tellStep(story, event, pen);
  if (event.event === 'obligation_opened') {
    const word = event.isLasting === true ? 'stays' : 'open';
    story.open.set(
      event.obligation,
      `${word} on ${event.host}: ${oneLine(event.message)} (${event.obligation})`,
    );
  }
  if (event.event === 'obligation_closed') story.open.delete(event.obligation);
  if (event.event === 'run_finished' || event.event === 'run_interrupted') story.end = event;
  if (event.event === 'run_resumed') story.end = undefined;
}

function countLines(story: Story, pen: Pen): readonly string[] {
  const counts =
    story.end?.event === 'run_finished' ? Object.entries(story.end.counts) : [...story.counts.entries()];
  if (counts.length === 0) return [];
  const columns = Math.max(story.hostColumns, ...story.counts.keys().map(width));
  const order = [...story.hosts];
  const rows = counts.toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  return [
    '',
    pen.paint('bold', 'HOSTS'),
    ...rows.map(([host, of]) => {
      const isForgiven = !story.failures.some((step) => step.host === host);
      return `  ${padEnd(oneLine(host), columns)}  ${countsText(of, pen, { isCheck: story.isCheck, isForgiven })}`;
    }),
  ];
}

const MANY = 8;
/** Of one step. */
const MOST_LINES = 12;

/** Names in the order of the inventory; `all 50 hosts` and `…, and 12 more` where a list would be long. */
function hostsText(names: ReadonlySet<string>, { hosts }: Story): string {
  const known = [...hosts].filter((host) => names.has(host));
  const all = [...known, ...[...names].filter((name) => !hosts.has(name))].map(oneLine);
  if (all.length <= MANY) return all.join(', ');
  if (known.length === hosts.size) return `all ${hosts.size} hosts`;
  return `${all.slice(0, MANY - 2).join(', ')} and ${all.length - MANY + 2} more`;
}

function changeLines(story: Story, pen: Pen): readonly string[] {
  if (story.changes.size === 0) return [];
  const title = story.isCheck ? 'WHAT WOULD CHANGE' : 'WHAT CHANGED';
  const lines = ['', pen.paint('bold', title)];
  for (const [step, texts] of story.changes) {
    lines.push(`  ${oneLine(step)}`);
    const all = [...texts];
    const shown = all.slice(0, all.length > MOST_LINES ? MOST_LINES - 1 : MOST_LINES);
    for (const [text, hosts] of shown) {
      lines.push(`    ${hostsText(hosts, story)}: ${pen.paint('yellow', text)}`);
    }
    const rest = new Set(all.slice(shown.length).flatMap(([, hosts]) => [...hosts]));
    if (rest.size > 0)
      lines.push(
        pen.paint('gray', `    ${hostsText(rest, story)}: ${all.length - shown.length} more changes`),
      );
  }
  return lines;
}

function failureLines(story: Story, pen: Pen): readonly string[] {
  if (story.failures.length === 0) return [];
  const alike = Map.groupBy(
    story.failures,
    ({ step, outcome, reason }) => `${step}\n${outcome}\n${reason ?? ''}`,
  );
  return [
    '',
    pen.paint('bold', 'WHAT FAILED'),
    ...[...alike.values()].flatMap(([step, ...others]) => {
      if (!step) return [];
      const hosts = hostsText(new Set([step, ...others].map(({ host }) => host)), story);
      const word = pen.paint(
        outcomeColour(step.outcome),
        outcomeWord(step.outcome, { isCheck: story.isCheck }),
      );
      return `  ${hosts}: ${oneLine(step.name)} ${pen.dash} ${word}: ${oneLine(step.reason ?? 'no reason known')}`;
    }),
  ];
}

const OUTCOMES = {
  done: ['green', 'done'],
  failed: ['red', 'failed'],
  in_doubt: ['magenta', 'in doubt'],
  stopped: ['red', 'stopped by a guard'],
} as const;

function endLines(story: Story, pen: Pen): readonly string[] {
  const { end } = story;
  if (end === undefined) return [];
  const resume = `  to go on: drillbook resume ${story.run}`;
  if (end.event === 'run_interrupted') {
    const why = end.reason === 'interrupted' ? '' : `: ${oneLine(end.reason)}`;
    return ['', pen.paint(['bold', 'yellow'], `interrupted${why}`), resume];
  }
  const [colour, word] = OUTCOMES[end.outcome];
  const reason = end.reason === undefined ? '' : `: ${oneLine(end.reason)}`;
  const check = story.isCheck ? ' (check mode: nothing was changed)' : '';
  const headline = `${word}${reason}${check} ${pen.dot} ${durationText(end.durationMs)} ${pen.dot} exit code ${end.exitCode}`;
  const lines = ['', pen.paint(['bold', colour], headline)];
  return end.outcome === 'done' || story.isCheck ? lines : [...lines, resume];
}

const openLines = ({ open }: Story, pen: Pen): readonly string[] =>
  open.size === 0
    ? []
    : [
        '',
        pen.paint('bold', 'LEFT OPEN'),
        ...[...open.values()].map((note) => pen.paint('magenta', `  ${note}`)),
      ];

const guardLines = ({ protection }: Story, pen: Pen): readonly string[] => {
  const texts = protectionTexts(protection).map((text) => `  ${oneLine(text)}`);
  return texts.length === 0 ? [] : ['', pen.paint('bold', 'PROTECTION'), ...texts];
};

/** The end of a run in words: counts per host, what changed where, what failed, how to go on. */
export const recap = (story: Story, pen: Pen): readonly string[] => [
  ...countLines(story, pen),
  ...changeLines(story, pen),
  ...failureLines(story, pen),
  ...guardLines(story, pen),
  ...openLines(story, pen),
  ...endLines(story, pen),
];
