import { z } from 'zod';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SHAPE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const PIECE = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Milliseconds of `500ms`, `10s`, `1h30m`, or of a number of seconds; undefined when it is no duration. */
export function parseDuration(value: string | number): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value * 1000 : undefined;
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (!SHAPE.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(PIECE)) total += Number(amount) * (UNITS[unit ?? 's'] ?? 0);
  return total;
}

/** `10s`, `500ms`, `2m`, `1h30m` or a number of seconds, as it is written. */
export const zDurationText = z
  .union([z.string(), z.number()])
  .refine((value) => parseDuration(value) !== undefined, {
    error: ({ input }) =>
      `\`${String(input)}\` is no duration: write 500ms, 10s, 2m, 1h30m or a number of seconds`,
  });

/** The same; comes out as milliseconds. */
export const zDuration = zDurationText.transform((value) => parseDuration(value) ?? 0);

/** The shortest exact text of a duration: `90000` is `1m30s`. */
export function durationText(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)}ms`;
  const seconds = Math.round(milliseconds / 100) / 10;
  if (seconds < 60) return `${seconds}s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 3600), 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const;
  return parts
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join('');
}
