import { isAlias, isCollection, isMap, isNode, isPair, isScalar, isSeq } from 'yaml';
import type { Node } from 'yaml';
import { nearest } from '../core/nearest.ts';

/** Something the YAML parser lets pass; offsets into the text. */
export interface Fault {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Where the thing it contradicts stands. */
  readonly first?: number;
}

/** Deeper than anybody writes, and far from where the walks over a value would overflow the stack. */
const MOST_LEVELS = 100;
/** Lines and list items: the parser needs about a second for so many. */
const MOST_VALUES = 50_000;

const UNPRINTABLE = /[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/** What keeps a text from being parsed at all: characters that YAML does not allow, and sheer size. */
export function textFault(text: string): Fault | undefined {
  const strange = UNPRINTABLE.exec(text);
  if (strange) {
    const code = (strange[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    return { offset: strange.index, message: `a character that no text has (U+${code})` };
  }
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char !== '\n' && char !== ',') continue;
    if (++count > MOST_VALUES)
      return { offset: i, message: `more than ${MOST_VALUES} lines and items; no more are read` };
  }
  return undefined;
}

/** Braces of a template begin a mapping where no quote stands before them. */
export const IN_QUOTES = {
  message: 'a value with `{{…}}` in it has to stand in quotes',
  hint: "put quotes around all of it: `'{{name}}'`, `'/srv/{{name}}/log'`",
};

const startOf = (node: unknown): number => (isNode(node) ? (node.range?.[0] ?? 0) : 0);

/**
 * Keys that are there twice, `__proto__`, aliases inside of what they stand for, and what is nested deeper than anybody
 * reads (`isTwiceAllowed`: as Ansible, where the last of two keys wins). The parser's own check of keys takes the square of their number.
 */
export function documentFaults(contents: Node | null, isTwiceAllowed = false): Fault[] {
  const faults: Fault[] = [];
  const anchors = new Set<string>();
  const open: string[] = [];
  const keysOf = (items: readonly { readonly key: unknown }[]): void => {
    const seen = new Map<string, number>();
    for (const { key } of items) {
      if (isMap(key)) faults.push({ offset: startOf(key), ...IN_QUOTES });
      if (!isScalar(key) || key.value === '<<') continue;
      const name = String(key.value);
      const offset = startOf(key);
      const first = seen.get(name);
      if (name === '__proto__') faults.push({ offset, message: '`__proto__` is not allowed as a key' });
      else if (first !== undefined && !isTwiceAllowed)
        faults.push({ offset, message: `\`${name}\` is there twice`, first });
      else seen.set(name, offset);
    }
  };
  const walk = (node: unknown, level: number): void => {
    if (isAlias(node) && !anchors.has(node.source)) {
      const near = nearest(node.source, anchors);
      const message = `\`*${node.source}\`: no \`&${node.source}\` stands before it`;
      faults.push({ offset: startOf(node), message, hint: near && `did you mean \`*${near}\`?` });
    } else if (isAlias(node) && open.includes(node.source)) {
      const message = `\`*${node.source}\` stands inside of what it stands for`;
      faults.push({ offset: startOf(node), message });
    }
    if ((isCollection(node) || isScalar(node)) && node.anchor !== undefined) anchors.add(node.anchor);
    if (!isMap(node) && !isSeq(node)) return;
    if (level > MOST_LEVELS) {
      faults.push({ offset: startOf(node), message: `nested too deeply: more than ${MOST_LEVELS} levels` });
      return;
    }
    const { anchor } = node;
    if (anchor !== undefined) open.push(anchor);
    if (isMap(node)) keysOf(node.items);
    for (const item of node.items) {
      if (isPair(item)) walk(item.key, level + 1);
      walk(isPair(item) ? item.value : item, level + 1);
    }
    if (anchor !== undefined) open.pop();
  };
  walk(contents, 1);
  return faults;
}
