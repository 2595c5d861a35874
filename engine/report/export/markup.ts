const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

// What XML 1.0 has no way to write (w3.org/TR/xml, 2.2), C1 controls, and halves of surrogate pairs.
const UNWRITABLE = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]|\p{Surrogate}/gu;

/** Text without the characters that no document takes. */
export const writable = (text: string): string => text.replace(UNWRITABLE, '\ufffd');

/** Text that HTML and XML take as nothing but text, in content and in quoted attributes. */
export const escaped = (text: string): string =>
  writable(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');

/** A piece of a page. */
export interface Html {
  readonly html: string;
}

type Value = string | number | undefined | Html | readonly Html[];

const written = (value: Value): string => {
  if (value === undefined) return '';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return escaped(value);
  return 'html' in value ? value.html : value.map((one) => one.html).join('');
};

/**
 * HTML in a template literal: text that is put into it is escaped, pieces made by this are not. How its own lines are
 * broken is the source's affair.
 */
export const markup = (parts: TemplateStringsArray, ...values: readonly Value[]): Html => ({
  html: parts
    .map((part, i) => part.replace(/\s*\n\s*/g, ' ') + (i < values.length ? written(values[i]) : ''))
    .join(''),
});
