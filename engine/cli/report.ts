import { DrillbookError } from '../core/error.ts';
import { chronicleOf } from '../report/export/chronicler.ts';
import type { Chronicle } from '../report/export/chronicle.ts';
import { readJournal, runIds } from '../run/journal/journal.ts';
import { command } from './_command.ts';
import { writeOut, writerOf } from './_formats.ts';

type Writer = (chronicle: Chronicle) => Promise<string | Buffer>;

// Loaded when they are wanted: each brings its own baggage.
const WRITERS: Readonly<Record<string, Writer>> = {
  html: async (chronicle) => (await import('../report/export/html.ts')).htmlPage(chronicle),
  json: async (chronicle) => `${JSON.stringify(chronicle, undefined, 2)}\n`,
  junit: async (chronicle) => (await import('../report/export/junit.ts')).junitXml(chronicle),
  csv: async (chronicle) => (await import('../report/export/csv.ts')).csvText(chronicle),
  xlsx: async (chronicle) => (await import('../report/export/xlsx.ts')).xlsxBytes(chronicle),
};

function read(stateDir: string, run: string): Chronicle {
  const journal = readJournal(stateDir, run);
  try {
    return chronicleOf(run, journal.events());
  } finally {
    journal.close();
  }
}

export default command({
  summary: 'write what happened in a run as a page, table or data: the newest, or the one named',
  usage: '[RUN] --format html|json|junit|csv|xlsx [--out FILE]',
  options: { format: { type: 'string' }, out: { type: 'string', short: 'o' } },
  help: {
    format: 'html, json, junit, csv or xlsx; from the ending of --out where left out',
    out: 'the file to write, for you alone; standard output where left out or -',
  },
  async run({ positionals, options, stateDir }) {
    const run = positionals[0] ?? runIds(stateDir).at(-1);
    if (run === undefined) throw new DrillbookError('usage.run', `there are no runs in ${stateDir}`);
    const out = typeof options['out'] === 'string' && options['out'] !== '-' ? options['out'] : undefined;
    const writer = writerOf(WRITERS, options['format'], out);
    if (writer === WRITERS['xlsx'] && out === undefined)
      throw new DrillbookError('usage.out', 'xlsx is no text: give it a file with --out FILE.xlsx');
    const chronicle = read(stateDir, run);
    if (chronicle.damage !== null) process.stderr.write(`${chronicle.damage}\n`);
    const content = await writer(chronicle);
    writeOut(content, out);
    return 0;
  },
});
