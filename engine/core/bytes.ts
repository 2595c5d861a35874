import { z } from 'zod';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `3116 KiB` as `3.0 MiB`: for an operator, not exact. */
export function bytesText(bytes: number): string {
  let [amount, unit] = [bytes, 0];
  for (; amount >= 1024 && unit < UNITS.length - 1; unit++) amount /= 1024;
  return `${unit === 0 ? amount : amount.toFixed(1)} ${UNITS[unit]}`;
}

/** A number of bytes, or `512 KiB`, `1.5GiB`; comes out as bytes. */
export const zBytes = z.union([z.string(), z.number()]).transform((value, issue) => {
  const [, amount, unit = 'B'] = /^(\d+(?:\.\d+)?) ?([KMGT]iB|B)?$/.exec(String(value).trim()) ?? [];
  const power = UNITS.findIndex((one) => one === unit);
  if (amount !== undefined && power >= 0) return Math.ceil(Number(amount) * 1024 ** power);
  issue.addIssue({
    code: 'custom',
    message: `\`${value}\` is no size: write a number of bytes, 512 KiB, 20MiB, 1.5 GiB`,
  });
  return z.NEVER;
});
