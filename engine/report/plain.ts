import type { RunEvent } from '../core/event.ts';
import { playLines, progressLine, remark, runLines, stepLines, type Taste } from './lines.ts';
import { newStory, recap, tell, type Story } from './story.ts';
import { pen } from './text.ts';
import { flushed, type View, type ViewOptions } from './view.ts';

type Progress = Extract<RunEvent, { event: 'step_progress' }>;

/** In a log, a word of a module is worth a line when it is new and the last was this long ago. */
const QUIET_MS = 5_000;

/** Decides which progress reaches a log, by the time of the events: items and attempts, and the rest now and then. */
function progressFilter(isVerbose: boolean): (event: RunEvent) => boolean {
  const last = new Map<string, { message: string; at: number }>();
  const isNews = (event: Progress, key: string): boolean => {
    if (event.item !== undefined) return isVerbose || event.outcome !== 'ok';
    const before = last.get(key);
    if (before === undefined) return event.outcome !== undefined;
    if (before.message === event.message) return false;
    return isVerbose || event.outcome !== undefined || Date.parse(event.at) - before.at >= QUIET_MS;
  };
  return (event) => {
    if (event.event === 'step_started') {
      last.set(`${event.step} ${event.host}`, { message: '', at: Date.parse(event.at) });
    }
    if (event.event !== 'step_progress') return true;
    const key = `${event.step} ${event.host}`;
    const isShown = isNews(event, key);
    if (isShown && event.item === undefined)
      last.set(key, { message: event.message, at: Date.parse(event.at) });
    return isShown;
  };
}

function linesOf(event: RunEvent, story: Story, taste: Taste): readonly string[] {
  switch (event.event) {
    case 'run_started':
      return runLines(event, taste);
    case 'play_started':
      return playLines(event, taste);
    case 'step_finished':
      return stamped(event, stepLines(event, story, taste));
    case 'step_progress':
      return stamped(event, [progressLine(event, story, taste)]);
    case 'run_resumed':
      return [remark(event, taste) ?? ''];
    case 'run_finished':
    case 'run_interrupted':
      return recap(story, taste.pen);
    default: {
      const line = remark(event, taste);
      return line === undefined ? [] : stamped(event, [line]);
    }
  }
}

/** When it was, in front of what begins a line of its own; headings have it in themselves. */
function stamped({ at }: RunEvent, lines: readonly string[]): readonly string[] {
  const clock = at.slice(11, 19);
  return lines.map((line, i) => (i === 0 ? clock : ' '.repeat(clock.length)) + line);
}

/** Lines for a log: nothing moves, every line stands for itself, and says when (UTC). */
export function plainView({ stdout, isColor, isUnicode, isVerbose, isDiff }: ViewOptions): View {
  const taste: Taste = { pen: pen(isColor, isUnicode), isVerbose, isDiff };
  const story = newStory();
  const isNews = progressFilter(isVerbose);
  return {
    show(event) {
      tell(story, event, taste.pen);
      if (!isNews(event)) return;
      const lines = linesOf(event, story, taste);
      if (lines.length > 0) stdout.write(`${lines.join('\n')}\n`);
    },
    aside: (work) => work(),
    close: () => flushed(stdout),
  };
}
