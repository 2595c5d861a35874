import { DrillbookError } from '../core/error.ts';
import { drillIds, readDrill } from '../drill/record.ts';
import type { DrillRecord } from '../drill/record.ts';
import { oneLine, padEnd, padStart, pen, type Pen } from '../report/text.ts';
import { drillWriter } from './_drill-formats.ts';
import { writeOut } from './_formats.ts';
import { command } from './_command.ts';
import type { Invocation } from './_command.ts';

const LOOKS = {
  passed: 'green',
  failed: 'red',
  stopped: 'red',
  in_doubt: 'magenta',
  interrupted: 'yellow',
} as const;

const secondsText = (ms: number | undefined): string =>
  ms === undefined ? '–' : `${(ms / 1000).toFixed(1)} s`;

/** Beside the one before of the same name on the same pair: did it become better? */
function trendOf(rto: number | undefined, before: number | undefined): string {
  if (rto === undefined || before === undefined) return '';
  const change = (rto - before) / 1000;
  return `${change > 0 ? '+' : ''}${change.toFixed(1)}`;
}

/** None where it is only known to be longer. */
const rtoOf = (record: DrillRecord | undefined): number | undefined =>
  record?.measures?.isServing === false ? undefined : record?.measures?.rtoMs;

const rtoText = ({ measures }: DrillRecord): string =>
  `${measures?.isServing === false ? '≥ ' : ''}${secondsText(measures?.rtoMs)}`;

function lineOf(record: DrillRecord, last: DrillRecord | undefined, { paint }: Pen): string {
  const { drill, startedAt, outcome, name, cluster, measures } = record;
  const rto = rtoOf(record);
  const lost = measures ? `${measures.rpo.rows} lost` : '–';
  return [
    drill,
    startedAt.slice(0, 19).replace('T', ' '),
    paint(LOOKS[outcome], padEnd(outcome.replace('_', ' '), 11)),
    `RTO ${padStart(rtoText(record), 7)} ${padStart(trendOf(rto, rtoOf(last)), 6)}`,
    padStart(lost, 9),
    `${oneLine(cluster)}: ${oneLine(name)}`,
  ].join('  ');
}

function* kept(stateDir: string): Generator<DrillRecord> {
  for (const id of drillIds(stateDir)) {
    try {
      const record = readDrill(stateDir, id);
      if (record) yield record;
      else process.stderr.write(`${id}: never came to its end\n`);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
    }
  }
}

/** The report of one drill. */
async function report(id: string, { options, stateDir }: Invocation): Promise<number> {
  const record = readDrill(stateDir, id === 'last' ? (drillIds(stateDir).at(-1) ?? id) : id);
  if (record === undefined)
    throw new DrillbookError(
      'usage.drill',
      `there is no drill \`${id}\` in ${stateDir} that came to its end`,
    );
  const out = typeof options['out'] === 'string' && options['out'] !== '-' ? options['out'] : undefined;
  writeOut(await drillWriter(options['format'], out)(record), out);
  return 0;
}

export default command({
  summary: 'list the drills, newest first, or write the report of one',
  usage: '[DRILL|last] [--format html|json|junit|csv] [--out FILE]',
  options: {
    format: { type: 'string' },
    out: { type: 'string', short: 'o' },
    limit: { type: 'string', short: 'n' },
  },
  help: {
    format: 'of one drill: html, json, junit or csv; from the ending of --out where left out',
    out: 'the file to write, for you alone; standard output where left out or -',
    limit: 'at most so many (20)',
  },
  async run(invocation) {
    const { positionals, options, output, stateDir, isColor } = invocation;
    const [id] = positionals;
    if (id !== undefined) return report(id, invocation);
    const limit = Math.max(1, Number(options['limit'] ?? 20) || 20);
    const all = [...kept(stateDir)];
    const shown = all.slice(-limit).toReversed();
    if (output === 'json' || output === 'jsonl') {
      const rows = shown.map(({ seen: _, writes: __, ...record }) => `${JSON.stringify(record)}\n`);
      process.stdout.write(rows.join(''));
      return 0;
    }
    const colours = pen(isColor);
    for (const record of shown) {
      const isLike = (one: DrillRecord): boolean =>
        one.name === record.name && one.cluster === record.cluster;
      const last = all.slice(0, all.indexOf(record)).findLast((one) => isLike(one) && one.measures !== null);
      process.stdout.write(`${lineOf(record, last, colours)}\n`);
    }
    if (shown.length === 0) process.stderr.write('no drills yet\n');
    return 0;
  },
});
