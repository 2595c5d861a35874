import { z } from 'zod';
import type { Value } from './_connect.ts';

/** A value that may stand for a `?`. */
export const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** A row by column. */
export const zRow = z.record(z.string(), z.unknown());

/** `sql` with each `?` replaced by a quoted value and each `??` by a quoted name. */
export async function statementOf(sql: string, values: readonly Value[]): Promise<string> {
  if (values.length === 0) return sql;
  const { format } = await import('mysql2');
  return format(sql, [...values]);
}

/** A name in backquotes; a dot in it stays part of the name. */
export const quoteName = (name: string): string => '`' + name.replaceAll('`', '``') + '`';
