import { basename } from 'node:path';
import type { RunEvent } from '../core/event.ts';
import type { Change, Result } from '../core/module.ts';
import { oneLine, padEnd, padStart, type Pen } from './text.ts';
import type { Story } from './story.ts';
import {
  changeDiff,
  changeText,
  durationText,
  lastWords,
  outcomeColour,
  outcomeWord,
  protectionTexts,
  resultLines,
  WORD_COLUMNS,
} from './wording.ts';

type Of<K extends RunEvent['event']> = Extract<RunEvent, { event: K }>;

/** How much is shown, and in which colours. */
export interface Taste {
  readonly pen: Pen;
  readonly isVerbose: boolean;
  readonly isDiff: boolean;
}

const MARGIN = ' '.repeat(WORD_COLUMNS + 4);

const optionText = ([key, value]: readonly [string, unknown]): string =>
  `${key}=${typeof value === 'string' ? oneLine(value) : JSON.stringify(value)}`;

const MANY = 12;

/** Names, or how many there are where a list would be long. */
const namesText = (names: readonly string[], { ellipsis }: Pen): string =>
  names.length <= MANY
    ? names.map(oneLine).join(', ')
    : `${names.length} hosts (${names.slice(0, 3).map(oneLine).join(', ')}, ${ellipsis} ${oneLine(names.at(-1) ?? '')})`;

/** `2026-03-02 21:30:00` */
const timeText = (iso: string): string => iso.slice(0, 19).replace('T', ' ');

export function runLines(event: Of<'run_started'>, { pen, isVerbose }: Taste): readonly string[] {
  const options = Object.entries(event.options).filter(([, value]) => value !== undefined && value !== false);
  return [
    `${pen.paint('bold', `RUN ${event.run}`)} ${pen.dash} ${oneLine(event.name)}`,
    `  playbook   ${oneLine(event.playbook)}`,
    `  inventory  ${oneLine(event.inventory)}`,
    `  hosts      ${namesText(event.hosts, pen)}`,
    `  operator   ${oneLine(event.operator)}`,
    `  started    ${timeText(event.at)} UTC`,
    ...protectionTexts(event.protection).map((text) => `  protection ${oneLine(text)}`),
    ...(isVerbose && options.length > 0 ? [`  options    ${options.map(optionText).join(' ')}`] : []),
    ...(event.isCheck ? [pen.paint(['bold', 'cyan'], '  CHECK MODE: looks only, changes nothing')] : []),
  ];
}

export const playLines = (event: Of<'play_started'>, { pen }: Taste): readonly string[] => [
  '',
  `${pen.paint('bold', `PLAY ${oneLine(event.name)}`)} ${pen.dot} ${namesText(event.hosts, pen)}`,
];

/** Changes, one line each, with the diff where it was asked for. */
export const changesLines = (changes: readonly Change[], { pen, isDiff }: Taste): readonly string[] =>
  changes.flatMap((change) => [
    `${MARGIN}${pen.paint('yellow', changeText(change, pen))}`,
    ...(isDiff ? changeDiff(change, pen).map((line) => `${MARGIN}  ${line}`) : []),
  ]);

/** What `debug` shows, without the name of the value that everybody knows. */
function debugText({ msg }: Result): readonly string[] {
  if (typeof msg === 'string') return msg.trimEnd().split('\n').map(oneLine);
  return msg === undefined ? [] : [JSON.stringify(msg)];
}

function detailLines(event: Of<'step_finished'>, { isVerbose }: Taste): readonly string[] {
  if (event.outcome === 'failed' && !isVerbose) return lastWords(event.result);
  if (event.module === 'debug') return debugText(event.result);
  return isVerbose ? resultLines(event.result) : [];
}

const hostText = (host: string, { hostColumns }: Story): string => padEnd(oneLine(host), hostColumns);

/**
 * One host's end of a step: outcome, host, time, name, reason; under it what changed and what a failed program said.
 * `hosts` stands for the host where several ended alike.
 */
export function stepLines(
  event: Of<'step_finished'>,
  story: Story,
  taste: Taste,
  hosts = event.host,
): readonly string[] {
  const { pen } = taste;
  const isForgiven = event.isForgiven === true;
  const word = padEnd(outcomeWord(event.outcome, { isCheck: story.isCheck, isForgiven }), WORD_COLUMNS);
  const ignored = isForgiven ? ' (goes on all the same)' : '';
  const reason = event.reason === undefined ? '' : ` ${pen.dash} ${oneLine(event.reason)}`;
  const time = pen.paint('gray', padStart(durationText(event.durationMs), 8));
  const isIdle = event.outcome === 'skipped' || event.outcome === 'not_run';
  const text = `${oneLine(event.name)}${reason}${ignored}`;
  return [
    `  ${pen.paint(outcomeColour(event.outcome, isForgiven), word)}  ${hostText(hosts, story)}  ${time}  ${isIdle ? pen.paint('gray', text) : text}`,
    ...changesLines(event.changes ?? [], taste),
    ...detailLines(event, taste).map((line) => `${MARGIN}${pen.paint('gray', '|')} ${line}`),
  ];
}

/** What a running step says: a loop's item, a failed attempt, or a word of the module. */
export function progressLine(event: Of<'step_progress'>, story: Story, { pen }: Taste): string {
  const percent = event.percent === undefined ? '' : ` ${Math.round(event.percent)} %`;
  const item = event.item === undefined ? '' : `item ${event.item + 1}: `;
  const word =
    event.outcome === undefined
      ? ''
      : pen.paint(
          outcomeColour(event.outcome, true),
          outcomeWord(event.outcome, { ...story, isForgiven: true }),
        );
  const said = [word, oneLine(event.message)].filter(Boolean).join(` ${pen.dot} `);
  return `  ${' '.repeat(WORD_COLUMNS)}  ${hostText(event.host, story)}  ${padStart(pen.ellipsis, 8)}  ${item}${said}${percent}`;
}

type Accepted = Extract<RunEvent, { event: 'changes_accepted' }>;

/** `book.yml; added play/one; -e size`. */
function acceptedText({ added, removed, changed, moved, others, files }: Accepted): string {
  const counts = { added, removed, changed: Object.keys(changed), moved };
  const steps = Object.entries(counts).flatMap(([how, ids]) =>
    ids.length > 0 ? [`${how} ${ids.map(oneLine).join(', ')}`] : [],
  );
  const names = Object.keys(files).map((path) => oneLine(basename(path)));
  return [names.join(', '), ...steps, others.map(oneLine).join(', ')].filter(Boolean).join('; ');
}

/** An undo's own obligation bears its name. */
const byText = ({ obligation, by }: Of<'obligation_closed'>): string =>
  obligation.startsWith(`${by}@`) ? '' : ` (${oneLine(by)})`;

/** Events that are one remark between the steps; undefined for the others. */
export function remark(event: RunEvent, { pen }: Taste): string | undefined {
  switch (event.event) {
    case 'roles_found': {
      const roles = Object.entries(event.roles).map(([node, role]) => `${oneLine(node)} is ${role}`);
      return `  roles of ${oneLine(event.cluster)}: ${roles.join(', ')}`;
    }
    case 'host_away':
      return pen.paint(
        'yellow',
        `  ${oneLine(event.host)} is away: ${oneLine(event.message)}; waiting for it, ${durationText(event.forMs)} at most`,
      );
    case 'host_back':
      return pen.paint('yellow', `  ${oneLine(event.host)} is back after ${durationText(event.awayMs)}`);
    case 'handler_notified':
      return pen.paint(
        'gray',
        `  notified by "${oneLine(event.by)}" on ${event.host}: ${oneLine(event.handler)}`,
      );
    case 'obligation_opened':
      return pen.paint(
        'magenta',
        `  ${event.isLasting === true ? 'to stay' : 'to be put right'} on ${event.host}: ${oneLine(event.message)} (${event.obligation})`,
      );
    case 'obligation_closed':
      return pen.paint('gray', `  put right on ${event.host}: ${oneLine(event.obligation)}${byText(event)}`);
    case 'invariant_broken':
      return pen.paint(
        ['bold', 'red'],
        `  INVARIANT BROKEN: ${oneLine(event.name)} ${pen.dash} ${oneLine(event.message)}`,
      );
    case 'confirmation_given':
      return `  confirmed by ${oneLine(event.by)}: ${oneLine(event.question)}`;
    case 'lock_lost':
      return pen.paint(
        ['bold', 'red'],
        `  unlocked by ${oneLine(event.by)}: ${oneLine(event.cluster)} is no longer this run's on ${event.hosts.map(oneLine).join(', ')}`,
      );
    case 'run_resumed':
      return pen.paint(
        'bold',
        `RUN ${event.run} resumed by ${oneLine(event.operator)}, ${timeText(event.at)} UTC`,
      );
    case 'changes_accepted':
      return pen.paint('yellow', `  edits accepted by ${oneLine(event.by)}: ${acceptedText(event)}`);
    default:
      return undefined;
  }
}
