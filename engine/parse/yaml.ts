import { basename, dirname } from 'node:path';
import { isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, Node, Pair } from 'yaml';
import { DrillbookError, Problems } from '../core/error.ts';
import { disk } from '../core/files.ts';
import type { Files } from '../core/files.ts';
import { nearest } from '../core/nearest.ts';
import type { Place } from '../core/place.ts';
import { documentFaults, IN_QUOTES, textFault } from './document.ts';
import type { Fault } from './document.ts';
import { formatOf, Locked } from '../secrets/encrypted.ts';
import type { Encrypted, Format, Opened } from '../secrets/encrypted.ts';
import { ENCRYPTED_TAGS } from '../secrets/inline.ts';
import { yamlOfAnsible } from './yaml-of-ansible.ts';

export type Path = readonly (string | number)[];

/** A parsed YAML file that still knows where each value stands. */
export interface Source {
  readonly file: string;
  readonly value: unknown;
  /** Where the key (or, for list items, the value) at `path` begins; the nearest parent where it is missing. */
  placeOf(path: Path): Place;
  /** The line at `place`, left out where it holds a `!secret`, and where the file is encrypted. */
  excerptOf(place: Place): string | undefined;
  /** `spot`: where in the text at `path` it is, or in the item of the list there that is this text. */
  error(code: string, path: Path, message: string, hint?: string, spot?: Spot): DrillbookError;
}

/** An offset into a text. */
export interface Spot {
  readonly text: string;
  readonly offset: number;
}

/** Larger files are refused: nobody reads a playbook of 4 MB, and parsing it would stall the jump host. */
const MOST_BYTES = 4 * 1024 * 1024;

/** The text of a file of the operator's, as it is or decrypted. Throws `Locked` until it is opened. */
export function loadText(
  file: string,
  what: string,
  at: Place | undefined,
  loading: Loading = {},
): { readonly text: string; readonly isEncrypted: boolean } {
  const bytes = readBytes(file, what, at, loading.files ?? disk);
  const format = formatOf(bytes);
  const plain = format === undefined ? bytes : open(bytes, format, { file, line: 1, column: 1 }, loading);
  try {
    return {
      text: new TextDecoder('utf-8', { fatal: true }).decode(plain),
      isEncrypted: format !== undefined,
    };
  } catch (cause) {
    const wide = plain[0] === 0xff || plain[0] === 0xfe ? 'it begins as UTF-16: save it as UTF-8' : undefined;
    throw new DrillbookError('parse.file', `${what} ${file} is not UTF-8`, {
      at: { file, ...firstNonUtf8(plain) },
      hint: wide,
      cause,
    });
  }
}

/** Where a text stops being UTF-8. */
function firstNonUtf8(bytes: Uint8Array): { readonly line: number; readonly column: number } {
  const again = Buffer.from(new TextDecoder().decode(bytes));
  const good = bytes.subarray(
    0,
    bytes.findIndex((byte, i) => byte !== again[i]),
  );
  const lines = new TextDecoder().decode(good).split('\n');
  return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
}

function open(bytes: Uint8Array, format: Format, at: Place, { opened }: Loading): Buffer {
  const plain = opened?.get(bytes);
  if (!plain) throw new Locked([{ bytes, format, at }]);
  return plain;
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EISDIR: 'is a folder',
  ENOTFILE: 'is a device or a pipe, not a file',
  EFBIG: 'is too large',
  EACCES: 'may not be read by this user',
  ELOOP: 'is a symbolic link that leads to itself',
};

function nearFile(file: string, files: Files): string | undefined {
  const names = (files.list(dirname(file)) ?? []).map(({ path }) => basename(path));
  const near = nearest(basename(file), names);
  return near === undefined ? undefined : `did you mean \`${near}\`?`;
}

function readBytes(file: string, what: string, at: Place | undefined, files: Files): Buffer {
  let bytes: Buffer;
  try {
    bytes = files.read(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = UNREADABLE[code ?? ''] ?? `cannot be read (${code})`;
    const hint = code === 'ENOENT' ? nearFile(file, files) : undefined;
    throw new DrillbookError('parse.file', `${what} ${file} ${why}`, { at, hint });
  }
  if (bytes.length > MOST_BYTES) {
    throw new DrillbookError(
      'parse.file',
      `${what} ${file} has ${bytes.length} bytes; at most ${MOST_BYTES} are read`,
      { at },
    );
  }
  return bytes;
}

type Inner = Node | Pair | null | undefined;

/** Pairs by key, of mappings that were looked into. */
const indexes = new WeakMap<object, ReadonlyMap<string, Pair>>();

function descend(node: Inner, key: string | number): Inner {
  const value = isPair(node) ? (node.value as Inner) : node;
  if (isMap(value)) {
    let index = indexes.get(value);
    if (index === undefined) {
      const keyOf = ({ key: own }: Pair): string => String(isScalar(own) ? own.value : own);
      index = new Map(value.items.map((pair) => [keyOf(pair), pair]));
      indexes.set(value, index);
    }
    return index.get(String(key));
  }
  return isSeq(value) && typeof key === 'number' ? (value.items[key] as Inner) : undefined;
}

/** Quoted, folded or plain: the word at the spot is as often there before it in the file as in the text. */
function offsetOfSpot(node: Inner, { text, offset }: Spot, file: string): number | undefined {
  const value = isPair(node) ? (node.value as Inner) : node;
  const scalar = isSeq(value) ? value.items.find((item) => isScalar(item) && item.value === text) : value;
  if (!isScalar(scalar) || scalar.value !== text || !scalar.range) return undefined;
  const word = /^\w+|^./s.exec(text.slice(offset))?.[0];
  if (word === undefined) return undefined;
  const [start, end] = scalar.range;
  let before = text.indexOf(word);
  let at = file.indexOf(word, start);
  while (before >= 0 && before < offset && at >= 0) {
    before = text.indexOf(word, before + 1);
    at = file.indexOf(word, at + 1);
  }
  return at >= 0 && at < end ? at : undefined;
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

/** Puts the plain text in the place of each single encrypted value. Throws `Locked` with those that are not opened yet. */
function openValues(document: Document, place: (offset: number) => Place, loading: Loading): void {
  const locked: Encrypted[] = [];
  visit(document, {
    Scalar(_, node) {
      if (!ENCRYPTED_TAGS.includes(node.tag ?? '')) return;
      const at = place(node.range?.[0] ?? 0);
      const bytes = Buffer.from(String(node.value));
      const format = formatOf(bytes);
      if (format === undefined) {
        const message = `${node.tag}: what follows is neither an age file in its armor nor an Ansible Vault`;
        const hint = 'the text stands below it, indented, after a `|`';
        throw new DrillbookError('parse.encrypted', message, { at, hint });
      }
      const plain = loading.opened?.get(bytes);
      if (!plain) return void locked.push({ bytes, format, at });
      const text = plain.toString();
      loading.onSecret?.(text);
      node.value = text;
    },
  });
  if (locked.length > 0) throw new Locked(locked);
}

/** Every value in it, however deep, but those that are the name of something in it too. */
function hearAll(value: unknown, onSecret: (value: string, isImplied: boolean) => void): void {
  const values: string[] = [];
  const names = new Set<string>();
  const walk = (inner: unknown): void => {
    if (typeof inner === 'string' || typeof inner === 'number') values.push(String(inner));
    else if (Array.isArray(inner)) inner.forEach(walk);
    else if (inner !== null && typeof inner === 'object')
      for (const [name, own] of Object.entries(inner)) {
        names.add(name);
        walk(own);
      }
  };
  walk(value);
  for (const own of values) if (!names.has(own)) onSecret(own, true);
}

/** A template that stands in no quotes, in a line of a mapping or list. */
const OPEN_BRACES = /(?:^|[:[,{-])\s+(?!['"|>#\s])[^'"]*\{\{/;

/** Parses one YAML 1.2 document; throws `Problems` with all its errors, or `Locked`. */
export function parseYaml(file: string, text: string, loading: Loading = {}, isEncrypted = false): Source {
  const lines = new LineCounter();
  const tags = [
    {
      tag: '!secret',
      resolve(value: string) {
        loading.onSecret?.(value);
        return value;
      },
    },
    ...ENCRYPTED_TAGS.map((tag) => ({ tag, resolve: (value: string) => value })),
  ];
  const place = (offset: number): Place => {
    const at = lines.linePos(offset);
    return { file, line: Math.max(1, at.line), column: Math.max(1, at.col) };
  };
  const textLines = text.split('\n');
  const excerptOf = (at: Place): string | undefined => {
    const line = textLines[at.line - 1];
    const isShown = !isEncrypted && line !== undefined && line.length <= 400 && !SECRET_LINE.test(line);
    return isShown && !isInSecret(textLines, at.line - 1) ? line.trimEnd() : undefined;
  };
  const fault = (code: string, at: Place, message: string, hint?: string): DrillbookError =>
    new DrillbookError(code, message, { at, excerpt: excerptOf(at), hint });

  const faultOf = ({ offset, message, hint, first }: Fault): DrillbookError =>
    fault(
      'parse.yaml',
      place(offset),
      message,
      first === undefined ? hint : `first on line ${place(first).line}`,
    );
  const unreadable = textFault(text);
  if (unreadable) {
    lines.addNewLine(0);
    for (let at = text.indexOf('\n'); at >= 0 && at < unreadable.offset; at = text.indexOf('\n', at + 1))
      lines.addNewLine(at + 1);
    throw new Problems([faultOf(unreadable)]);
  }

  let value: unknown;
  let contents: Inner;
  const faultsOfText: DrillbookError[] = [];
  try {
    const document = parseDocument(text, {
      ...(loading.isAnsible === true
        ? yamlOfAnsible(tags)
        : { version: '1.2', merge: true, customTags: tags }),
      lineCounter: lines,
      // `documentFaults` looks for keys that are there twice.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
    });
    const found = [...document.errors, ...document.warnings];
    if (found.length > 0) {
      const lineOf = ({ pos }: (typeof found)[number]): number => lines.linePos(pos[0]).line;
      // What else the parser says about the same line follows from the first, and all that follows a template's braces.
      const firsts = found.filter(firstOfItsLine(lineOf));
      const braces = firsts.findIndex((error) => OPEN_BRACES.test(textLines[lineOf(error) - 1] ?? ''));
      if (braces >= 0) {
        const at = place(firsts[braces]?.pos[0] ?? 0);
        firsts.splice(braces);
        faultsOfText.push(fault('parse.yaml', at, IN_QUOTES.message, IN_QUOTES.hint));
      }
      throw new Problems([
        ...firsts
          .map((error) => {
            // The parser's own words may quote the file.
            const message = isEncrypted ? `not usable as YAML: ${error.code}` : yamlMessage(error.message);
            return { ...error, at: place(error.pos[0]), message };
          })
          .map(({ at, message, code }) => fault('parse.yaml', at, message, yamlHint(code))),
        ...faultsOfText,
      ]);
    }
    const faults = documentFaults(document.contents, loading.isAnsible === true);
    if (faults.length > 0) throw new Problems(faults.map(faultOf));
    if (ENCRYPTED_TAGS.some((tag) => text.includes(tag))) openValues(document, place, loading);
    value = document.toJS({ maxAliasCount: 100 });
    contents = document.contents as Inner;
  } catch (cause) {
    if (cause instanceof DrillbookError) throw cause;
    const isDeep = cause instanceof RangeError;
    const message = isDeep ? 'nested too deeply' : (cause as Error).message;
    throw new Problems([fault('parse.yaml', { file, line: 1, column: 1 }, `not usable as YAML: ${message}`)]);
  }

  if (isEncrypted && loading.onSecret) hearAll(value, loading.onSecret);
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
  const nodeAt = (path: Path): Inner => path.reduce<Inner>(descend, contents);
  const placeOfSpot = (path: Path, spot: Spot): Place => {
    const offset = offsetOfSpot(nodeAt(path), spot, text);
    return offset === undefined ? placeOf(path) : place(offset);
  };
  return {
    file,
    value,
    placeOf,
    excerptOf,
    error: (code, path, message, hint, spot) =>
      fault(code, spot ? placeOfSpot(path, spot) : placeOf(path), message, hint),
  };
}

/** True for the first item of each line. */
function firstOfItsLine<T>(lineOf: (item: T) => number): (item: T) => boolean {
  const seen = new Set<number>();
  return (item) => !seen.has(lineOf(item)) && Boolean(seen.add(lineOf(item)));
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
  /** `isImplied`: it stands in an encrypted file, and nobody marked it. */
  readonly onSecret?: ((value: string, isImplied?: boolean) => void) | undefined;
  readonly files?: Files | undefined;
  /** What encrypted files and values hold. Where it does not know one, `Locked` is thrown: see `withKeys`. */
  readonly opened?: Opened | undefined;
  /** What was parsed before, where files are read more than once. */
  readonly sources?: Map<string, Source> | undefined;
  /** Read as Ansible reads YAML. */
  readonly isAnsible?: boolean | undefined;
}

/** One YAML file: plain, with single encrypted values, or encrypted as a whole, by age or Ansible Vault. */
export function loadYaml(file: string, what: string, at?: Place, loading: Loading = {}): Source {
  const key = `${String(loading.isAnsible)} ${file}`;
  const known = loading.sources?.get(key);
  if (known) return known;
  const { text, isEncrypted } = loadText(file, what, at, loading);
  const source = parseYaml(file, text, loading, isEncrypted);
  loading.sources?.set(key, source);
  return source;
}
