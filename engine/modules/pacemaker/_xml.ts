import { parseXml, XmlElement } from '@rgrove/parse-xml';

/** An element of Pacemaker's configuration and answers: no text counts in them, only names and attributes. */
export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Element[];
}

/** An attribute that is undefined is left out. */
export const element = (
  name: string,
  attributes: Readonly<Record<string, string | undefined>> = {},
  children: readonly Element[] = [],
): Element => ({
  name,
  attributes: Object.fromEntries(
    Object.entries(attributes).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  ),
  children,
});

const elementOf = ({ name, attributes, children }: XmlElement): Element => ({
  name,
  attributes,
  children: children.filter((child) => child instanceof XmlElement).map(elementOf),
});

/** The root element; throws where the text is no XML. */
export function parse(text: string): Element {
  const { root } = parseXml(text.slice(Math.max(0, text.indexOf('<'))));
  if (root === null) throw new Error('XML without an element');
  return elementOf(root);
}

const ESCAPED: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
// Line breaks and tabs of an attribute are read as blanks unless written as references (XML 1.0, 3.3.3).
const escape = (value: string): string =>
  value.replaceAll(/[&<>"\t\n\r]/g, (char) => ESCAPED[char] ?? `&#${char.charCodeAt(0)};`);

export function write({ name, attributes, children }: Element): string {
  const words = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(value)}"`);
  const inner = children.map(write).join('');
  return inner === '' ? `<${name}${words.join('')}/>` : `<${name}${words.join('')}>${inner}</${name}>`;
}

export const childrenOf = (parent: Element | undefined, name: string): readonly Element[] =>
  (parent?.children ?? []).filter((child) => child.name === name);

export const childOf = (parent: Element | undefined, name: string): Element | undefined =>
  childrenOf(parent, name)[0];

/** The element and all below it, in the order of the text. */
export function* within(root: Element): Generator<Element> {
  yield root;
  for (const child of root.children) yield* within(child);
}
