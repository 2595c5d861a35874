import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Node, Pair } from 'yaml';
import { DrillbookError, Problems } from '../core/error.ts';
import { disk } from '../core/files.ts';
import type { Files } from '../core/files.ts';
import type { Place } from '../core/place.ts';

export type Path = readonly (string | number)[];

/** A parsed YAML file that still knows where each value stands. */
export interface Source {
  readonly file: string;
  readonly value: unknown;
  /** Where the key (or, for list items, the value) at `path` begins; the nearest parent where it is missing. */
  placeOf(path: Path): Place;
  /** The line at `place`, left out where it holds a `!secret`. */
  excerptOf(place: Place): string | undefined;
  error(code: string, path: Path, message: string, hint?: string): DrillbookError;
}

/** Larger files are refused: nobody reads a playbook of 4 MB, and parsing it would stall the jump host. */
const MOST_BYTES = 4 * 1024 * 1024;

function readText(file: string, what: string, at: Place | undefined, files: Files): string {
  let bytes: Buffer;
  try {
    bytes = files.read(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a folder' : `cannot be read (${code})`;
    throw new DrillbookError('parse.file', `${what} ${file} ${why}`, { at });
  }
  if (bytes.length > MOST_BYTES) {
    throw new DrillbookError(
      'parse.file',
      `${what} ${file} has ${bytes.length} bytes; at most ${MOST_BYTES} are read`,
      { at },
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DrillbookError('parse.file', `${what} ${file} is not UTF-8`, { at, cause });
  }
}

type Inner = Node | Pair | null | undefined;

function descend(node: Inner, key: string | number): Inner {
  const value = isPair(node) ? (node.value as Inner) : node;
  if (isMap(value)) {
    return value.items.find((pair) => String(isScalar(pair.key) ? pair.key.value : pair.key) === String(key));
  }
  return isSeq(value) && typeof key === 'number' ? (value.items[key] as Inner) : undefined;
}

function offsetOf(node: Inner): number | undefined {
  const start = isPair(node) ? (node.key as Node | null) : node;
  return start?.range?.[0];
}

const SECRET_LINE = /!secret|pass(word|phrase|wd)\s*['"]?:/i;

/** True for a line of a text that a `!secret |` above it began. */
function isInSecret(lines: readonly string[], index: number): boolean {
  const indent = (line: string): number => line.length - line.trimStart().length;
  let own = indent(lines[index] ?? '');
  for (let above = index - 1; above >= 0 && own > 0; above--) {
    const line = lines[above] ?? '';
    if (line.trim() === '' || indent(line) >= own) continue;
    if (line.includes('!secret')) return true;
    own = indent(line);
  }
  return false;
}

/** Parses one YAML 1.2 document; throws `Problems` with all its errors. `onSecret` hears every `!secret` value. */
export function parseYaml(
  file: string,
  text: string,
  onSecret: (value: string) => void = () => undefined,
): Source {
  const lines = new LineCounter();
  const secretTag = {
    tag: '!secret',
    resolve(value: string) {
      onSecret(value);
      return value;
    },
  };
  const place = (offset: number): Place => {
    const at = lines.linePos(offset);
    return { file, line: Math.max(1, at.line), column: Math.max(1, at.col) };
  };
  const textLines = text.split('\n');
  const excerptOf = (at: Place): string | undefined => {
    const line = textLines[at.line - 1];
    const isShown = line !== undefined && line.length <= 400 && !SECRET_LINE.test(line);
    return isShown && !isInSecret(textLines, at.line - 1) ? line.trimEnd() : undefined;
  };
  const fault = (code: string, at: Place, message: string, hint?: string): DrillbookError =>
    new DrillbookError(code, message, { at, excerpt: excerptOf(at), hint });

  let value: unknown;
  let contents: Inner;
  try {
    const document = parseDocument(text, {
      version: '1.2',
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'error',
      uniqueKeys: true,
      customTags: [secretTag],
    });
    const found = [...document.errors, ...document.warnings];
    if (found.length > 0) {
      throw new Problems(
        found
          .map((error) => ({ ...error, at: place(error.pos[0]), message: yamlMessage(error.message) }))
          // What else the parser says about the same line follows from the first.
          .filter(({ at }, i, all) => all.findIndex((other) => other.at.line === at.line) === i)
          .map(({ at, message, code }) => fault('parse.yaml', at, message, yamlHint(code))),
      );
    }
    if (text.includes('__proto__')) {
      visit(document, {
        Pair(_, { key }) {
          if (!isScalar(key) || key.value !== '__proto__') return;
          throw new Problems([
            fault('parse.yaml', place(key.range?.[0] ?? 0), '`__proto__` is not allowed as a key'),
          ]);
        },
      });
    }
    value = document.toJS({ maxAliasCount: 100 });
    contents = document.contents as Inner;
  } catch (cause) {
    if (cause instanceof DrillbookError) throw cause;
    const isDeep = cause instanceof RangeError;
    const message = isDeep ? 'nested too deeply' : (cause as Error).message;
    throw new Problems([fault('parse.yaml', { file, line: 1, column: 1 }, `not usable as YAML: ${message}`)]);
  }

  const placeOf = (path: Path): Place => {
    let node = contents;
    let best = offsetOf(contents) ?? 0;
    for (const key of path) {
      node = descend(node, key);
      if (node === undefined || node === null) break;
      best = offsetOf(node) ?? best;
    }
    return place(best);
  };
  return {
    file,
    value,
    placeOf,
    excerptOf,
    error: (code, path, message, hint) => fault(code, placeOf(path), message, hint),
  };
}

/** The parser's own sentence without its advice for programmers. */
const yamlMessage = (message: string): string =>
  message.includes('call stack') ? 'nested too deeply' : (message.split('\n')[0] ?? message);

const yamlHint = (code: string): string | undefined =>
  code === 'BLOCK_AS_IMPLICIT_KEY'
    ? 'the next line is indented too far, or a text with `: ` in it wants quotes'
    : undefined;

/** Who hears secrets, and where files are read from; the disk when left out. */
export interface Loading {
  readonly onSecret?: ((value: string) => void) | undefined;
  readonly files?: Files | undefined;
}

export function loadYaml(file: string, what: string, at?: Place, loading: Loading = {}): Source {
  return parseYaml(file, readText(file, what, at, loading.files ?? disk), loading.onSecret);
}
