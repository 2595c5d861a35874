import { countsText, durationText, lastWords, OUTCOMES, outcomeWord, protectionTexts } from '../wording.ts';
import { pen } from '../text.ts';
import { failuresOf, lastResults, type Chronicle, type StepResult } from './chronicle.ts';
import { badge, stepsSection } from './html-steps.ts';
import { pageOf, table } from './html-page.ts';
import { timeline } from './html-timeline.ts';
import { markup, type Html } from './markup.ts';

const ENDS = {
  done: ['ok', 'done'],
  failed: ['failed', 'failed'],
  in_doubt: ['in_doubt', 'in doubt'],
  stopped: ['failed', 'stopped by a guard'],
  unfinished: ['open', 'unfinished'],
} as const;

const PLAIN = pen(false, true);

const timeText = (iso: string | null): string =>
  iso === null || iso === '' ? '' : `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;

const span = (from: string, to: string): string =>
  durationText(Math.max(0, Date.parse(to) - Date.parse(from)));

function header(chronicle: Chronicle): Html {
  const { run, name, playbook, inventory, operator, isCheck, startedAt, endedAt, sessions } = chronicle;
  const [look, word] = ENDS[chronicle.outcome];
  const worked = sessions.reduce((sum, { from, until }) => sum + Date.parse(until) - Date.parse(from), 0);
  const others = [...new Set(sessions.map((session) => session.operator))].filter((one) => one !== operator);
  const facts: readonly (readonly [string, string])[] = [
    ...([
      ['Run', run],
      ['Playbook', playbook],
      ['Inventory', inventory],
    ] as const),
    ['Operator', [operator, ...others.map((one) => `resumed by ${one}`)].join(', ')],
    ['Started', `${timeText(startedAt)} UTC`],
    [chronicle.exitCode === null ? 'Last known' : 'Ended', `${timeText(endedAt)} UTC`],
    [
      'Took',
      `${span(startedAt, endedAt)}${sessions.length > 1 ? `, ${durationText(worked)} of it at work in ${sessions.length} parts` : ''}`,
    ],
    ...protectionTexts(chronicle.protection).map((text) => ['Protection', text] as const),
    ...(chronicle.exitCode === null ? [] : [['Exit code', String(chronicle.exitCode)] as const]),
    ...optionFacts(chronicle),
  ];
  const why =
    chronicle.reason === null || chronicle.reason === 'interrupted'
      ? undefined
      : markup`<p class="why">${chronicle.reason}</p>`;
  return markup`<header>
    <p class="kind">drillbook run report</p>
    <h1>${name === '' ? run : name}</h1>
    <p class="badges">
      ${badge(look, word)}${isCheck ? badge('skipped', 'check mode: nothing was changed') : undefined}
    </p>
    ${why}
    <dl>
      ${facts.map(
        ([key, value]) =>
          markup`<div>
            <dt>${key}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
  </header>`;
}

/** What was asked for: the part of the plan that ran, and open inputs. */
function optionFacts({ options }: Chronicle): readonly (readonly [string, string])[] {
  const { selection, inputs } = options as {
    selection?: Record<string, unknown>;
    inputs?: Record<string, unknown>;
  };
  const told = (values: Record<string, unknown> = {}): string =>
    Object.entries(values)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([key, value]) => `${key} = ${typeof value === 'string' ? value : JSON.stringify(value)}`)
      .join(', ');
  const facts = [
    ['Inputs', told(inputs)],
    ['Selection', told(selection)],
  ] as const;
  return facts.filter(([, text]) => text !== '');
}

/** What has to be looked at: damage, failures, what is bent, how to go on. */
function attention(chronicle: Chronicle): Html {
  const { run, outcome, isCheck, damage, obligations, guards } = chronicle;
  const failures = failuresOf(chronicle);
  const bent = obligations.filter(({ closedAt, isLasting }) => closedAt === null && !isLasting);
  const numbers = new Map(chronicle.steps.map(({ id }, index) => [id, index + 1]));
  const items = [
    ...(damage === null ? [] : [markup`<li>${badge('failed', 'damaged journal')} ${damage}</li>`]),
    ...guards.map(({ guard, message }) => markup`<li>${badge('failed', `${guard} guard`)} ${message}</li>`),
    ...failures.slice(0, 50).map(({ step, result }) => {
      const { outcome: how } = result;
      const word = how === null ? 'cut off' : outcomeWord(how, { isCheck }).toLowerCase();
      const said = lastWords(result.result, 8).join('\n');
      return markup`<li>
        ${badge(how ?? 'open', word)} <b>${result.host}</b>:
        <a href="#step-${numbers.get(step.id) ?? 0}">${step.name}</a
        >${result.reason === null ? undefined : markup` — ${result.reason}`}${said === '' ? undefined : markup`<pre>${said}</pre>`}
      </li>`;
    }),
    ...(failures.length > 50 ? [markup`<li>and ${failures.length - 50} more</li>`] : []),
    ...bent.map(
      ({ message, host, obligation }) =>
        markup`<li>${badge('in_doubt', 'open')} ${message} on <b>${host}</b> (<code>${obligation}</code>)</li>`,
    ),
  ];
  const goesOn = outcome !== 'done' && !isCheck && damage === null;
  if (items.length === 0 && !goesOn) return markup``;
  const how = goesOn ? markup`<p>To go on: <code>drillbook resume ${run}</code></p>` : undefined;
  return markup`<section id="attention">
    <h2>To be looked at</h2>
    ${
      items.length > 0
        ? markup`<ul>
            ${items}
          </ul>`
        : undefined
    }${how}
  </section>`;
}

/** How all steps ended on all hosts, as they ended last. */
function totals({ steps, isCheck }: Chronicle): Html {
  const results = steps.flatMap(lastResults);
  const count = (isMeant: (result: StepResult) => boolean): number => results.filter(isMeant).length;
  const tiles = [
    ...OUTCOMES.map((outcome) => ({
      look: outcome,
      word: outcomeWord(outcome, { isCheck }).toLowerCase(),
      count: count((result) => result.outcome === outcome && !result.isForgiven),
    })),
    { look: 'changed', word: 'failed, forgiven', count: count(({ isForgiven }) => isForgiven) },
    { look: 'in_doubt', word: 'cut off', count: count(({ outcome }) => outcome === null) },
  ].filter((tile) => tile.count > 0);
  return markup`<p class="tiles">
    ${tiles.map((tile) => markup`<span class="tile ${tile.look}"><b>${tile.count}</b> ${tile.word}</span>`)}
  </p>`;
}

const hostRows = ({ hosts, counts, isCheck }: Chronicle): readonly (readonly string[])[] =>
  hosts
    .filter((host) => Object.hasOwn(counts, host))
    .map((host) => [host, countsText(counts[host] ?? {}, PLAIN, { isCheck }).toLowerCase()]);

const roleRows = ({ roles }: Chronicle): readonly (readonly string[])[] =>
  roles.map(({ at, cluster, roles: found }) => [
    ...[timeText(at), cluster],
    Object.entries(found)
      .map(([host, role]) => `${host} ${role}`)
      .join(', '),
  ]);

const obligationRows = ({ obligations }: Chronicle): readonly (readonly (string | Html)[])[] =>
  obligations.map(({ obligation, host, message, openedAt, closedAt, closedBy, isLasting }) => [
    closedAt !== null
      ? badge('ok', 'put right')
      : isLasting
        ? badge('skipped', 'stays')
        : badge('in_doubt', 'open'),
    ...[message, host, markup`<code>${obligation}</code>`, timeText(openedAt)],
    closedAt === null ? '' : `${timeText(closedAt)} by ${closedBy ?? ''}`,
  ]);

const editText = ({ added, removed, changed, moved, others, files }: Chronicle['edits'][number]): string => {
  const parts = Object.entries({ added, removed, changed: Object.keys(changed), moved, also: others, files });
  return parts.flatMap(([how, ids]) => (ids.length > 0 ? [`${how}: ${ids.join(', ')}`] : [])).join('; ');
};

/** Confirmations, guards, locks, edits, interruptions, hosts that were away, in the order of time. */
function chronicleRows(chronicle: Chronicle): readonly (readonly string[])[] {
  const { sessions, confirmations, guards, locks, edits, away, notified } = chronicle;
  const rows = [
    ...sessions.map(({ from, operator }, i) => [from, i === 0 ? 'begun' : 'resumed', `by ${operator}`]),
    ...sessions.map(({ until, end }) => [until, end === 'unknown' ? 'last known' : end, '']),
    ...confirmations.map(({ at, by, question }) => [at, 'confirmed', `by ${by}: ${question}`]),
    ...guards.map(({ at, guard, message, host }) => [
      at,
      `${guard} guard`,
      `${host === null ? '' : `${host}: `}${message}`,
    ]),
    ...locks.map(({ at, what, cluster, by }) => [
      at,
      `lock ${what}`,
      `${cluster}${by === null ? '' : `, by ${by}`}`,
    ]),
    ...edits.map((edit) => [edit.at, 'edits accepted', `by ${edit.by}: ${editText(edit)}`]),
    ...away.map(({ from, host, message }) => [from, 'host away', `${host}: ${message}`]),
    ...away.flatMap(({ until, host }) => (until === null ? [] : [[until, 'host back', host]])),
    ...notified.map(({ at, handler, host, by }) => [
      at,
      'handler notified',
      `${handler} on ${host}, by ${by}`,
    ]),
  ];
  return rows
    .toSorted(([a = ''], [b = '']) => a.localeCompare(b))
    .map(([at = '', ...rest]) => [timeText(at), ...rest]);
}

/** A page of a run. */
export function htmlPage(chronicle: Chronicle): string {
  return pageOf(
    `${chronicle.name === '' ? 'Run' : chronicle.name} · ${chronicle.run}`,
    markup`${header(chronicle)} ${totals(chronicle)} ${attention(chronicle)} ${timeline(chronicle)}
      ${stepsSection(chronicle)} ${table('Hosts', 'hosts', ['Host', 'Steps'], hostRows(chronicle))}
      ${table('Roles', 'roles', ['When looked at (UTC)', 'Cluster', 'Roles'], roleRows(chronicle))}
      ${table('Obligations', 'obligations', ['State', 'What', 'Host', 'Name', 'Since (UTC)', 'Put right'], obligationRows(chronicle))}
      ${table('What else happened', 'else', ['When (UTC)', 'What', 'About'], chronicleRows(chronicle))}`,
  );
}
