import { lineDiff } from '../diff.ts';
import { pen } from '../text.ts';
import { changeDiff, changeText, durationText, lastWords, outcomeWord } from '../wording.ts';
import type { Change, Result } from '../../core/module.ts';
import { isBad, lastResults, type Chronicle, type StepResult, type StepStory } from './chronicle.ts';
import { markup, type Html } from './markup.ts';

const PLAIN = pen(false, true);
/** Hosts that a line names; the rest are counted. */
const MANY_HOSTS = 12;
/** A page with fewer results than this shows them all open. */
const FEW_RESULTS = 60;

const lookOf = ({ outcome, isForgiven }: StepResult): string =>
  outcome === null ? 'open' : isForgiven ? 'forgiven' : outcome;

const wordOf = ({ outcome, isForgiven }: StepResult, isCheck: boolean): string =>
  outcome === null
    ? 'cut off'
    : `${outcomeWord(outcome, { isCheck, isForgiven }).toLowerCase()}${isForgiven ? ', forgiven' : ''}`;

export const badge = (look: string, word: string): Html => markup`<span class="badge ${look}">${word}</span>`;

const DIFF_LOOKS: Readonly<Record<string, string>> = { '+': 'add', '-': 'del', '@': 'at' };

function diffOf(change: Change): Html {
  if (changeDiff(change, PLAIN).length === 0) return markup`<li>${changeText(change, PLAIN)}</li>`;
  const lines = lineDiff(change.before ?? '', change.after ?? '').map(
    (line) => markup`<span class="${DIFF_LOOKS[line.charAt(0)] ?? ''}">${line}</span>`,
  );
  return markup`<li>
    ${changeText(change, PLAIN)}
    <pre class="diff">${lines}</pre>
  </li>`;
}

const SAID = ['msg', 'stdout', 'output', 'stderr'];

/** What a program or `debug` said; what a module only returns is in the JSON report. */
function saidBy(module: string, result: Result, isFailed: boolean): string {
  if (isFailed) return lastWords(result, 40).join('\n');
  if (module === 'facts') return '';
  const texts = SAID.map((key) => result[key]).filter((text) => typeof text === 'string');
  return lastWords({ output: texts.filter((text) => text.trim() !== '').join('\n') }, 20)
    .join('\n')
    .slice(0, 4000);
}

/** Results that read the same, with all their hosts. */
interface Group {
  readonly look: string;
  readonly word: string;
  readonly reason: string;
  readonly changes: readonly Change[];
  readonly said: string;
  readonly words: StepResult['words'];
  readonly results: StepResult[];
}

function groupsOf({ module, results }: StepStory, isCheck: boolean): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const one of results) {
    const said = saidBy(module, one.result, isBad(one.outcome));
    const words = one.words.filter(({ attempt }) => attempt !== null);
    const reason = one.reason ?? '';
    const { changes } = one;
    const key = JSON.stringify([lookOf(one), reason, changes, said, words.map(({ message }) => message)]);
    const group = groups.get(key) ?? {
      ...{ look: lookOf(one), word: wordOf(one, isCheck), reason, changes, said, words, results: [] },
    };
    group.results.push(one);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function timesText(results: readonly StepResult[]): string {
  const times = results.map(({ durationMs }) => durationMs);
  const [least, most] = [Math.min(...times), Math.max(...times)].map(durationText);
  return least === most ? `${most}` : `${least} to ${most}`;
}

function hostsText(results: readonly StepResult[]): string {
  const names = [...new Set(results.map(({ host }) => host))];
  if (names.length <= MANY_HOSTS) return names.join(', ');
  return `${names.slice(0, MANY_HOSTS - 1).join(', ')} and ${names.length - MANY_HOSTS + 1} more`;
}

function groupRow({ look, word, reason, changes, said, words, results }: Group): Html {
  const all = [...new Set(results.map(({ host }) => host))].join(', ');
  const waits = words.map(({ at, message }) => markup`<li><time>${at.slice(11, 19)}</time> ${message}</li>`);
  return markup`<tr>
    <td>${badge(look, word)}</td>
    <td title="${all}">${hostsText(results)}</td>
    <td class="number">${timesText(results)}</td>
    <td>
      ${reason}${
        words.length > 0
          ? markup`<ul class="waits">
              ${waits}
            </ul>`
          : undefined
      }${
        changes.length > 0
          ? markup`<ul class="changes">
              ${changes.map(diffOf)}
            </ul>`
          : undefined
      }${said === '' ? undefined : markup`<pre>${said}</pre>`}
    </td>
  </tr>`;
}

/** How the hosts ended, in a word each and how many. */
function tallyOf(step: StepStory, isCheck: boolean): readonly Html[] {
  const tally = new Map<string, { look: string; count: number }>();
  for (const result of lastResults(step)) {
    const [word, look] = [wordOf(result, isCheck), lookOf(result)];
    tally.set(word, { look, count: (tally.get(word)?.count ?? 0) + 1 });
  }
  const isOne = step.results.length === 1;
  return [...tally].map(([word, { look, count }]) => badge(look, isOne ? word : `${count} ${word}`));
}

function stepPiece(step: StepStory, index: number, { isCheck }: Chronicle, isOpen: boolean): Html {
  const { id, name, module, results } = step;
  const last = lastResults(step);
  const isTrouble = results.some(({ outcome }) => isBad(outcome));
  const groups = groupsOf(step, isCheck);
  const isTold = groups.some(
    ({ changes, said, words, look }) => changes.length + words.length > 0 || said !== '' || look === 'open',
  );
  const marks = [
    'step',
    last.some(({ outcome, changes }) => outcome === 'changed' || changes.length > 0) ? 'has-changes' : '',
    isTrouble ? 'has-trouble' : '',
  ];
  const idle = last.every(({ outcome }) => outcome === 'skipped' || outcome === 'not_run') ? ' idle' : '';
  return markup`<details
    class="${marks.filter(Boolean).join(' ')}${idle}"
    id="step-${index + 1}"
    ${isTrouble || (isOpen && isTold) ? markup` open` : undefined}
  >
    <summary>
      <span class="count">${index + 1}</span><span class="title">${name} <small>${module}</small></span
      ><span class="tally">${tallyOf(step, isCheck)}</span><span class="number">${timesText(results)}</span>
    </summary>
    <div class="inside">
      <p class="id"><code>${id}</code> began ${step.results[0]?.from.slice(11, 19) ?? ''} UTC</p>
      <table>
        <tbody>
          ${groups.map(groupRow)}
        </tbody>
      </table>
    </div>
  </details>`;
}

/** Every step with its outcomes, times, changes and failures, play by play; filtered without a script. */
export function stepsSection(chronicle: Chronicle): Html {
  const { steps, plays } = chronicle;
  const total = steps.reduce((sum, { results }) => sum + results.length, 0);
  const isOpen = total <= FEW_RESULTS;
  const names = new Map(plays.map(({ id, name, hosts }) => [id, { name, hosts }]));
  const parts = Map.groupBy(
    steps.map((step, index) => ({ step, index })),
    ({ step }) => step.play,
  );
  const pieces = [...parts].map(([play, list]) => {
    const { name = play, hosts = [] } = names.get(play) ?? {};
    const on = hosts.length <= MANY_HOSTS ? hosts.join(', ') : `${hosts.length} hosts`;
    return markup`<h3>${name} <small>${on}</small></h3>
      ${list.map(({ step, index }) => stepPiece(step, index, chronicle, isOpen))}`;
  });
  const choice = (id: string, word: string, isFirst = false): Html =>
    markup`<input type="radio" name="show" id="${id}" ${isFirst ? markup` checked` : undefined} /><label
        for="${id}"
        >${word}</label
      >`;
  return markup`<section id="steps">
    <h2>Steps</h2>
    <p class="filter">
      ${choice('show-all', 'All', true)}${choice('show-changes', 'What changed')}${choice('show-trouble', 'What went wrong')}
    </p>
    ${pieces}
  </section>`;
}
