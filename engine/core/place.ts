/** A position in a source file; line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `file:line:column`, the form that editors and terminals make clickable. */
export const placeText = (at: Place): string => `${at.file}:${at.line}:${at.column}`;
