import type { DrillRecord } from '../../drill/record.ts';
import { badge } from '../export/html-steps.ts';
import { pageOf, table } from '../export/html-page.ts';
import { STYLE } from '../export/html-style.ts';
import { markup, type Html } from '../export/markup.ts';
import { figuresOf, figureText } from './figures.ts';
import type { Figure } from './figures.ts';
import { picture, PICTURE_STYLE } from './picture.ts';

const ENDS = {
  passed: ['ok', 'passed'],
  failed: ['failed', 'failed'],
  interrupted: ['open', 'interrupted'],
  in_doubt: ['in_doubt', 'in doubt'],
  stopped: ['failed', 'not begun'],
} as const;

const at = (ms: number | null): string => (ms === null ? '–' : `${(ms / 1000).toFixed(1)} s`);

function header(record: DrillRecord): Html {
  const { drill, name, description, file, inventory, cluster, nodes, operator, startedAt, before, reasons } =
    record;
  const [look, word] = ENDS[record.outcome];
  const facts: readonly (readonly [string, string])[] = [
    ...([
      ['Drill', drill],
      ['File', file],
      ['Inventory', inventory],
      ['Cluster', `${cluster} (${nodes.join(', ')})`],
      ['Before', before ? `${before.primary} primary, ${before.standby} standby` : '–'],
      ['Operator', operator],
      ['Started', `${startedAt.slice(0, 10)} ${startedAt.slice(11, 19)} UTC`],
      ['Took', at(record.endedMs)],
      ['Exit code', String(record.exitCode)],
    ] as const),
  ];
  return markup`<header>
    <p class="kind">drillbook drill report</p>
    <h1>${name}</h1>
    <p class="badges">${badge(look, word)}</p>
    ${description === null ? undefined : markup`<p class="why">${description}</p>`}
    ${reasons.map((reason) => markup`<p class="why">${reason}</p>`)}
    <dl>
      ${facts.map(
        ([term, text]) =>
          markup`<div>
            <dt>${term}</dt>
            <dd>${text}</dd>
          </div>`,
      )}
    </dl>
  </header>`;
}

function verdict({ wanted, isMet, unit }: Figure): Html {
  if (isMet === null) return markup``;
  return badge(isMet ? 'ok' : 'failed', `${isMet ? 'met' : 'missed'}: at most ${figureText(wanted, unit)}`);
}

const figureRows = (record: DrillRecord): readonly (readonly (string | Html)[])[] =>
  figuresOf(record).map((one) => [
    markup`<b>${one.figure.replaceAll('_', ' ').replace(/^r[tp]o\b/, (word) => word.toUpperCase())}</b>`,
    figureText(one.value, one.unit, one.isAtLeast),
    verdict(one),
    one.about,
  ]);

/** One page that needs nothing else. */
export function drillPage(record: DrillRecord): string {
  const { checks, faults, playbooks, measures } = record;
  return pageOf(
    `${record.name} · ${record.drill}`,
    markup`${header(record)} ${picture(record)}
      ${table('Figures', 'figures', ['Figure', 'Found', 'Goal', ''], figureRows(record))}
      ${table(
        'By itself',
        'checks',
        ['', 'What', 'After', 'Wanted within'],
        checks.map(({ name, tookMs, withinMs }) => [
          badge(tookMs === null ? 'failed' : 'ok', tookMs === null ? 'did not happen' : 'happened'),
          ...[name, at(tookMs), at(withinMs)],
        ]),
      )}
      ${table(
        'Faults',
        'faults',
        ['Fault', 'Node', 'From', 'Until', 'Healed'],
        faults.map(({ name, host, fromMs, untilMs, how }) => [
          name,
          host,
          at(fromMs),
          at(untilMs),
          how ?? '–',
        ]),
      )}
      ${table(
        'Playbooks',
        'playbooks',
        ['Playbook', 'From', 'Until', 'Run', 'Exit code'],
        playbooks.map(({ playbook, fromMs, untilMs, run, exitCode }) => [
          ...[
            playbook,
            at(fromMs),
            at(untilMs),
            run ?? 'not needed',
            exitCode === null ? '–' : String(exitCode),
          ],
        ]),
      )}
      ${table(
        'What clients heard instead of an answer',
        'errors',
        ['Error', 'Times'],
        Object.entries(measures?.errors ?? {}).map(([word, count]) => [word, String(count)]),
      )}
      ${table(
        'Rows that are lost',
        'lost',
        ['Number'],
        (measures?.rpo.numbers ?? []).map((n) => [String(n)]),
      )}`,
    STYLE + PICTURE_STYLE,
  );
}
