import type { Command } from './_command.ts';
import { offersOf, type Known, type Offer } from './_offers.ts';

/** The line so far: the words after `drillbook`, the one under the cursor last. */
interface Line {
  readonly command: Command;
  readonly options: Command['options'];
  readonly words: readonly string[];
  readonly current: string;
}

/** What each string option and each position takes, in the words of the command's own usage line. */
interface Usage {
  readonly options: ReadonlyMap<string, string>;
  readonly positions: readonly string[];
}

const isString = (options: Command['options'], name: string): boolean => options[name]?.type === 'string';

/** `--inventory`, `-i` and `--inventory=x` are all the option `inventory`. */
function optionNamed(word: string, options: Command['options']): string | undefined {
  const name = word.split('=')[0] ?? '';
  if (name.startsWith('--')) return Object.hasOwn(options, name.slice(2)) ? name.slice(2) : undefined;
  if (!name.startsWith('-')) return undefined;
  return Object.entries(options).find(([, { short }]) => short === name.slice(1, 2))?.[0];
}

/** Reads `[RUN] --format html|json [--out FILE]`: the same line that --help shows. */
export function usageOf({ usage, options }: Command): Usage {
  const words = usage
    .replace(/[[\]]/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '|');
  const taken = new Map<string, string>();
  const positions: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (!word.startsWith('-')) positions.push(word);
    else {
      const name = optionNamed(word, options);
      const next = words[i + 1] ?? '';
      if (name !== undefined && isString(options, name) && next !== '' && !next.startsWith('-')) {
        taken.set(name, next);
        i++;
      }
    }
  }
  return { options: taken, positions };
}

/** What the words before the cursor say already. */
function knownOf({ words, options }: Line): Known & { readonly positionals: readonly string[] } {
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  const before = words.slice(1, -1);
  for (let i = 0; i < before.length; i++) {
    const word = before[i] ?? '';
    const name = optionNamed(word, options);
    if (name === undefined) {
      if (!word.startsWith('-')) positionals.push(word);
      continue;
    }
    const given = word.startsWith('--') && word.includes('=') ? word.slice(word.indexOf('=') + 1) : undefined;
    const value = given ?? (isString(options, name) ? (before[++i] ?? '') : '');
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return { values, positionals };
}

function optionOffers({ command, options }: Line, known: Known): Offer {
  const help = command.help;
  const open = Object.entries(options).filter(([name, { multiple }]) => multiple || !known.values.has(name));
  return { words: open.map(([name]) => [`--${name}`, help[name] ?? '']) };
}

/** `--limit=a` is completed behind its `=`. */
const behind = (offer: Offer, prefix: string): Offer => ({
  ...offer,
  words: offer.words.map(([word, about]) => [prefix + word, about]),
});

/** What may stand where the cursor is. Never asks, touches no host, and offers nothing where a file is broken. */
export async function complete(
  words: readonly string[],
  commands: ReadonlyMap<string, Command>,
  global: Pick<Command, 'options' | 'help'>,
  stateDir: string,
): Promise<Offer> {
  const current = words.at(-1) ?? '';
  const [name = ''] = words;
  if (words.length <= 1) {
    const own = [...commands].map(([word, { summary }]): [string, string] => [word, summary]);
    return {
      words: current.startsWith('-')
        ? [
            ['--version', ''],
            ['--help', ''],
          ]
        : own,
    };
  }
  const found = commands.get(name);
  if (!found) return { words: [] };
  const command = { ...found, help: { ...found.help, ...global.help } };
  const line: Line = { command, options: { ...found.options, ...global.options }, words, current };
  const known = knownOf(line);
  const usage = usageOf(found);
  const valueOf = (option: string, typed: string): Promise<Offer> =>
    offersOf(usage.options.get(option) ?? option, name, typed, known, stateDir);
  const previous = words.length > 2 ? (words.at(-2) ?? '') : '';
  const asked = previous.includes('=') ? undefined : optionNamed(previous, line.options);
  if (asked !== undefined && isString(line.options, asked)) return valueOf(asked, current);
  if (current.startsWith('--') && current.includes('=')) {
    const option = optionNamed(current, line.options);
    const split = current.indexOf('=') + 1;
    if (option === undefined) return { words: [] };
    return behind(await valueOf(option, current.slice(split)), current.slice(0, split));
  }
  if (current.startsWith('-')) return optionOffers(line, known);
  const { positions } = usage;
  const last = positions.at(-1);
  const kind = positions[known.positionals.length] ?? (last?.endsWith('…') ? last : undefined);
  return kind === undefined ? { words: [] } : offersOf(kind, name, current, known, stateDir);
}
