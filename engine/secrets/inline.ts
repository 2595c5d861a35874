import { isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { DrillbookError } from '../core/error.ts';
import { formatOf } from './encrypted.ts';
import type { Encrypted } from './encrypted.ts';

/** The tags of single encrypted values: ours, and the one that Ansible's encrypt_string writes. */
export const ENCRYPTED_TAGS: readonly string[] = ['!age', '!vault', '!vault-encrypted'];

/** A single encrypted value in the text of a YAML file, from its tag to its end. */
export interface Inline extends Encrypted {
  readonly start: number;
  readonly end: number;
  /** Of the lines below the tag. */
  readonly indent: string;
}

/** The single encrypted values of a YAML text, in their order. Throws `parse.yaml`. */
export function inlineValues(file: string, text: string): readonly Inline[] {
  if (!ENCRYPTED_TAGS.some((tag) => text.includes(tag))) return [];
  const lines = new LineCounter();
  const own = ['!secret', '!unsafe', ...ENCRYPTED_TAGS];
  const customTags = own.map((tag) => ({ tag, resolve: (value: string) => value }));
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: false,
    customTags,
    logLevel: 'error',
  });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  const [broken] = document.errors;
  if (broken)
    throw new DrillbookError('parse.yaml', `${file} is not usable as YAML: ${broken.code}`, {
      at: place(broken.pos[0]),
    });
  const found: Inline[] = [];
  visit(document, {
    Scalar(_, node) {
      if (!isScalar(node) || !node.range || !ENCRYPTED_TAGS.includes(node.tag ?? '')) return;
      const [from, end] = node.range;
      const start = text.lastIndexOf('!', from);
      const bytes = Buffer.from(String(node.value));
      const format = formatOf(bytes);
      const at = place(start);
      if (format === undefined || /[&*]/.test(text.slice(start, from)))
        throw new DrillbookError('parse.encrypted', `${node.tag ?? ''}: no encrypted text stands here`, {
          at,
        });
      const below = /^[^\n]*\n( +)\S/.exec(text.slice(from))?.[1];
      const line = text.slice(text.lastIndexOf('\n', start) + 1, start);
      const indent = below ?? `${/^ */.exec(line)?.[0] ?? ''}  `;
      found.push({ start, end, indent, bytes, format, at });
    },
  });
  return found;
}

/** The YAML of a single encrypted value, after its `NAME: `. */
export function inlineYaml(tag: '!age' | '!vault', sealed: string, indent: string): string {
  return `${tag} |\n${sealed.trimEnd().replace(/^/gm, indent)}\n`;
}

/** The text with each of `values` replaced by what `written` makes of it. */
export async function withInline(
  text: string,
  values: readonly Inline[],
  written: (value: Inline) => Promise<string>,
): Promise<string> {
  let result = '';
  let done = 0;
  for (const value of values) {
    const isLined = text.slice(value.start, value.end).endsWith('\n');
    const now = await written(value);
    result += text.slice(done, value.start) + (isLined ? now : now.trimEnd());
    done = value.end;
  }
  return result + text.slice(done);
}
