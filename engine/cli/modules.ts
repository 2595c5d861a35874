import { padEnd, pen, width, type Pen } from '../report/text.ts';
import { allReferences, referenceOf, type Reference } from './_reference.ts';
import { command } from './_command.ts';

const write = (lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`);

/** Rows with all columns but the last padded. */
function table(rows: readonly (readonly string[])[]): readonly string[] {
  const columns = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => width(row[index] ?? ''))));
  return rows.map((row) =>
    row
      .map((text, index) => (index === row.length - 1 ? text : padEnd(text, columns[index] ?? 0)))
      .join('  '),
  );
}

function wrapped(text: string, columns: number): readonly string[] {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && width(last) + width(word) + 1 > columns) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}

function one(reference: Reference, { paint }: Pen): readonly string[] {
  const { name, kind, summary, shorthand, parameters, returns, examples } = reference;
  const head = (text: string): readonly string[] => ['', paint('bold', text)];
  return [
    `${paint('bold', name)} (${kind}): ${summary}`,
    ...(shorthand === undefined ? [] : [`\`${name}: text\` sets ${shorthand}.`]),
    ...(parameters.length > 0 ? head('Parameters') : []),
    ...parameters.flatMap(({ name: parameter, type, isRequired, default: value, description }) => [
      `  ${paint('cyan', parameter)}  ${type}${isRequired ? paint('yellow', '  required') : value === undefined ? '' : `  default ${JSON.stringify(value)}`}`,
      ...wrapped(description, 92).map((line) => `      ${line}`),
    ]),
    ...head('Registered'),
    ...returns.flatMap(({ name: field, type, isOptional, description }) => [
      `  ${paint('cyan', field)}  ${type}${isOptional ? '  may be missing' : ''}`,
      ...(description === '' ? [] : wrapped(description, 92).map((line) => `      ${line}`)),
    ]),
    ...head('Check mode and resume'),
    `  In check mode: ${reference.in_check_mode}.`,
    `  After an interruption: ${reference.on_resume}.`,
    `  Source: ${reference.source}.`,
    ...head('Examples'),
    ...examples.split('\n').map((line) => (line === '' ? '' : `  ${line}`)),
  ];
}

export default command({
  summary: 'list the modules, or tell all about one',
  usage: '[NAME]',
  options: {},
  help: {},
  async run({ positionals: [name], output, isColor }) {
    const colours = pen(isColor);
    if (name === undefined) {
      const references = await allReferences();
      if (output === 'json' || output === 'jsonl') write([JSON.stringify(references, null, 2)]);
      else
        write(
          table(
            references.map((reference) => [
              colours.paint('cyan', reference.name),
              reference.kind,
              reference.summary,
            ]),
          ),
        );
      return 0;
    }
    const reference = await referenceOf(name);
    write(
      output === 'json' || output === 'jsonl'
        ? [JSON.stringify(reference, null, 2)]
        : one(reference, colours),
    );
    return 0;
  },
});
