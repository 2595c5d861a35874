import { z } from 'zod';

/** A name as useradd(8) takes it. */
export const zUserName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,30}[A-Za-z0-9_.$-]?$/, {
  error: 'must be a name of at most 32 letters, digits, `_`, `.` and `-`, no digit first',
});
