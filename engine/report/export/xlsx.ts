import type { Blob } from 'node:buffer';
import type Stream from 'node:stream';
import writeExcelFile from 'write-excel-file/node';
import type { Cell, CellObject, Feature, Sheet } from 'write-excel-file/node';
import { changeText, protectionTexts } from '../wording.ts';
import { pen } from '../text.ts';
import type { Chronicle } from './chronicle.ts';
import { writable } from './markup.ts';
import { rowsOf, type Row } from './rows.ts';

type Content = Stream | Buffer | Blob;

/** What a cell holds at most (support.microsoft.com, Excel specifications and limits). */
const MOST_CHARACTERS = 32_767;
const DAY_SECONDS = 86_400;
const PLAIN = pen(false, true);

type Table = Pick<Sheet<Content>, 'columns'> & { readonly sheet: string; readonly data: Cell[][] };

const FILLS: Readonly<Record<string, string>> = {
  ...{ changed: '#FFF2CC', failed: '#F8CECC', unreachable: '#F8CECC', in_doubt: '#E1D5E7' },
  ...{ under_way: '#E1D5E7', skipped: '#F5F5F5', not_run: '#F5F5F5' },
};

const text = (value: string, more: Partial<CellObject> = {}): Cell => ({
  type: String,
  value: writable(value).slice(0, MOST_CHARACTERS),
  alignVertical: 'top',
  ...more,
});
const number = (value: number): Cell => ({ type: Number, value, alignVertical: 'top' });
const moment = (iso: string | null): Cell =>
  iso === null || iso === ''
    ? null
    : { type: Date, value: new Date(iso), format: 'yyyy-mm-dd hh:mm:ss', alignVertical: 'top' };
/** Excel counts time in days. */
const duration = (seconds: number): Cell => ({
  type: Number,
  value: seconds / DAY_SECONDS,
  format: '[h]:mm:ss.000',
  alignVertical: 'top',
});
const heading = (value: string): Cell => ({
  ...{ type: String, value, fontWeight: 'bold', backgroundColor: '#D9E2F3' },
});
const table = (sheet: string, columns: readonly (readonly [string, number])[], rows: Cell[][]): Table => ({
  sheet,
  columns: columns.map(([, width]) => ({ width })),
  data: [columns.map(([name]) => heading(name)), ...rows],
});

const rowCells = (row: Row): Cell[] => [
  ...[moment(row.started), moment(row.ended), text(row.host), text(row.play), text(row.name)],
  ...[text(row.module), text(row.outcome, fillOf(row)), { type: Boolean, value: row.isForgiven }],
  ...[duration(row.seconds), number(row.attempts), text(row.reason, { wrap: true })],
  ...[text(row.changes, { wrap: true }), text(row.step)],
];

function fillOf({ outcome, isForgiven }: Row): Partial<CellObject> {
  const backgroundColor = isForgiven ? FILLS['changed'] : FILLS[outcome];
  return backgroundColor === undefined ? {} : { backgroundColor };
}

function stepsTable(chronicle: Chronicle): Table {
  const columns = [
    ...[
      ['Started (UTC)', 19],
      ['Ended (UTC)', 19],
      ['Host', 16],
      ['Play', 24],
      ['Step', 40],
    ],
    ...[
      ['Module', 18],
      ['Outcome', 12],
      ['Forgiven', 9],
      ['Time', 13],
      ['Attempts', 9],
    ],
    ...[
      ['Reason', 50],
      ['Changes', 50],
      ['Step id', 40],
    ],
  ] as [string, number][];
  return table('Steps', columns, rowsOf(chronicle).map(rowCells));
}

function changesTable({ steps }: Chronicle): Table {
  const rows = steps.flatMap(({ name, results }) =>
    results.flatMap(({ host, until, changes }) =>
      changes.map((change) => [
        ...[moment(until), text(host), text(name), text(change.what), text(changeText(change, PLAIN))],
        ...[text(change.before ?? '', { wrap: true }), text(change.after ?? '', { wrap: true })],
      ]),
    ),
  );
  const columns = [
    ...[
      ['When (UTC)', 19],
      ['Host', 16],
      ['Step', 40],
      ['What', 40],
      ['In short', 50],
    ],
    ...[
      ['Before', 40],
      ['After', 40],
    ],
  ] as [string, number][];
  return table('Changes', columns, rows);
}

function hostsTable({ hosts, counts }: Chronicle): Table {
  const outcomes = ['ok', 'changed', 'skipped', 'not_run', 'failed', 'unreachable', 'in_doubt'] as const;
  const rows = hosts.map((host) => [
    text(host),
    ...outcomes.map((outcome) => number(counts[host]?.[outcome] ?? 0)),
  ]);
  return table('Hosts', [['Host', 20], ...outcomes.map((name) => [name, 12] as [string, number])], rows);
}

function runTable(chronicle: Chronicle): Table {
  const { run, name, playbook, inventory, operator, isCheck, startedAt, endedAt, outcome } = chronicle;
  const seconds = (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
  const rows: [string, Cell][] = [
    ...([
      ['Run', text(run)],
      ['Name', text(name)],
      ['Playbook', text(playbook)],
    ] as [string, Cell][]),
    ...([
      ['Inventory', text(inventory)],
      ['Operator', text(operator)],
    ] as [string, Cell][]),
    ['Check only', { type: Boolean, value: isCheck }],
    ...([
      ['Started (UTC)', moment(startedAt)],
      ['Ended (UTC)', moment(endedAt)],
    ] as [string, Cell][]),
    ...([
      ['Time', duration(seconds)],
      ['Outcome', text(outcome)],
    ] as [string, Cell][]),
    ...protectionTexts(chronicle.protection).map((told): [string, Cell] => ['Protection', text(told)]),
    ['Exit code', chronicle.exitCode === null ? null : number(chronicle.exitCode)],
    ['Reason', text(chronicle.reason ?? '', { wrap: true })],
    ...chronicle.sessions.slice(1).map(({ from }): [string, Cell] => ['Resumed (UTC)', moment(from)]),
    ...(chronicle.damage === null ? [] : [['Damage', text(chronicle.damage)] as [string, Cell]]),
  ];
  const columns = [
    ['', 18],
    ['', 60],
  ] as [string, number][];
  return { ...table('Run', columns, []), data: rows.map(([label, cell]) => [heading(label), cell]) };
}

/** The arrows at the head of each column, which the library has no option for. */
function filters(tables: readonly Table[]): Feature<Content> {
  const transform = (xml: string, { sheet }: { readonly sheet?: string }): string => {
    const found = tables.find((one) => one.sheet === sheet);
    const last = String.fromCharCode(64 + (found?.columns?.length ?? 1));
    const range = `A1:${last}${found?.data.length ?? 1}`;
    return found === undefined
      ? xml
      : xml.replace('</sheetData>', `</sheetData><autoFilter ref="${range}"/>`);
  };
  return { files: { transform: { 'xl/worksheets/sheet{id}.xml': { transform } } } };
}

/** A workbook with the run, its steps, changes and hosts; times as dates and durations. */
export async function xlsxBytes(chronicle: Chronicle): Promise<Buffer> {
  const lists = [stepsTable(chronicle), changesTable(chronicle), hostsTable(chronicle)];
  const sheets = [
    runTable(chronicle),
    ...lists.map((list) => ({ ...list, stickyRowsCount: 1 })),
  ] as Sheet<Content>[];
  return writeExcelFile(sheets, { features: [filters(lists)] }).toBuffer();
}
