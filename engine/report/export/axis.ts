import { durationText } from '../wording.ts';
import type { Session } from './chronicle.ts';

/** Time from left to right, in percent of the width; between two sessions time is not to scale. */
export interface Axis {
  /** Where a moment stands (ISO-8601). */
  at(time: string): number;
  readonly ticks: readonly { readonly x: number; readonly text: string }[];
  readonly gaps: readonly { readonly from: number; readonly to: number; readonly text: string }[];
}

const NICE_MS = [
  ...[100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000],
  ...[600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000],
];
const GAP_PERCENT = 4;
const MOST_GAPS_PERCENT = 30;
const TICKS = 8;

const clockText = (iso: string): string => iso.slice(11, 19);

export function axisOf(sessions: readonly Session[]): Axis {
  const parts = sessions.map(({ from, until }) => {
    const start = Date.parse(from);
    return { from, start, ms: Math.max(1, Date.parse(until) - start) };
  });
  const total = parts.reduce((sum, { ms }) => sum + ms, 0);
  const gap = Math.min(GAP_PERCENT, MOST_GAPS_PERCENT / Math.max(1, parts.length - 1));
  const room = 100 - gap * Math.max(0, parts.length - 1);
  const step = NICE_MS.find((ms) => total / ms <= TICKS) ?? total / TICKS;
  let left = 0;
  const placed = parts.map((part) => {
    const width = (part.ms / total) * room;
    const here = { ...part, left, width };
    left += width + gap;
    return here;
  });
  const gaps = placed.slice(1).map((part, i) => {
    const before = placed[i] ?? part;
    const away = part.start - (before.start + before.ms);
    return { from: before.left + before.width, to: part.left, text: durationText(Math.max(0, away)) };
  });
  const ticks = placed.flatMap(({ from, ms, left: x, width }) => {
    const within = Array.from({ length: Math.floor(ms / step) }, (_, i) => (i + 1) * step);
    const marks = within
      .filter((at) => (at / ms) * width > 6 && (1 - at / ms) * width > 3)
      .map((at) => ({
        x: x + (at / ms) * width,
        text: `+${durationText(at)
          .replace('.0', '')
          .replace(/ 0 \w+$/, '')}`,
      }));
    return [{ x, text: clockText(from) }, ...marks];
  });
  return {
    at(time) {
      const ms = Date.parse(time);
      const part = placed.findLast(({ start }) => start <= ms) ?? placed[0];
      if (!part) return 0;
      return part.left + Math.min(1, Math.max(0, (ms - part.start) / part.ms)) * part.width;
    },
    ticks,
    gaps,
  };
}
