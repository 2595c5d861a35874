import { figures, ListrLogger, ProcessOutput, Spinner } from 'listr2';
import type { RunEvent, StepOutcome } from '../core/event.ts';
import {
  blockOutcome,
  finishedLine,
  finishedLines,
  newBlock,
  progressText,
  runningLines,
  type Block,
} from './block.ts';
import { playLines, remark, runLines, type Taste } from './lines.ts';
import { openRegion } from './region.ts';
import { newStory, recap, tell } from './story.ts';
import { isUnicodeLocale, pen, type Pen } from './text.ts';
import { flushed, type View, type ViewOptions } from './view.ts';
import { durationText, outcomeColour } from './wording.ts';

/** A pause between steps that is worth a word. */
const IDLE_MS = 1000;

const ASCII = { tick: 'v', warning: '!', cross: 'x', arrowDown: '-', pointer: '*' };

class AsciiSpinner extends Spinner {
  protected override readonly spinner = ['-', '\\', '|', '/'];
}

/** listr2's logger with our outcomes as its levels. */
function outcomeLogger(
  processOutput: ProcessOutput,
  { paint }: Pen,
  isUnicode: boolean,
): ListrLogger<StepOutcome> {
  const sign = isUnicode ? figures : ASCII;
  const colour = (outcome: StepOutcome) => (text?: string) => paint(outcomeColour(outcome), text ?? '');
  return new ListrLogger<StepOutcome>({
    processOutput,
    icon: {
      ok: sign.tick,
      changed: sign.tick,
      skipped: sign.arrowDown,
      not_run: sign.arrowDown,
      failed: sign.cross,
      unreachable: sign.cross,
      in_doubt: sign.warning,
    },
    color: {
      ok: colour('ok'),
      changed: colour('changed'),
      skipped: colour('skipped'),
      not_run: colour('not_run'),
      failed: colour('failed'),
      unreachable: colour('unreachable'),
      in_doubt: colour('in_doubt'),
    },
  });
}

/**
 * The view for a terminal. listr2's own task lists want to know their tasks beforehand and draw all of them again
 * each time; a run tells its steps one by one and may have thousands. So the steps at work are drawn in place with
 * listr2's tools (output held back meanwhile, spinner, signs), and a finished step scrolls up as one line.
 */
export function liveView(options: ViewOptions): View {
  const { stdout, stderr, isColor, isVerbose, isDiff } = options;
  const isUnicode = options.isUnicode ?? isUnicodeLocale();
  const taste: Taste = { pen: pen(isColor, isUnicode), isVerbose, isDiff };
  // ProcessOutput only ever calls `write` of its streams.
  const output = new ProcessOutput(stdout as NodeJS.WriteStream, stderr as NodeJS.WriteStream, {
    leaveEmptyLine: false,
  });
  const logger = outcomeLogger(output, taste.pen, isUnicode);
  const spinner = isUnicode ? new Spinner() : new AsciiSpinner();
  // A terminal without a size (a serial console, `script`) says 0.
  const region = openRegion({
    columns: () => stdout.columns || 80,
    rows: () => stdout.rows || 24,
    write: (text) => void output.toStdout(text, false),
  });
  const story = newStory();
  const blocks = new Map<string, Block>();
  let above: string[] = [];
  let isOpen = false;
  /** When the run last told something; undefined where it has ended. */
  let heardAt: number | undefined;

  const iconOf = (block: Block): string =>
    block.running.size > 0 ? taste.pen.paint('yellow', spinner.fetch()) : logger.icon(blockOutcome(block));
  const draw = (): void => {
    const now = Date.now();
    const columns = stdout.columns || 80;
    const rows = Math.max(2, Math.floor(((stdout.rows || 24) - 1) / Math.max(1, blocks.size)));
    const lines = [...blocks.values()].flatMap((block) =>
      block.running.size > 0
        ? runningLines(block, iconOf(block), story, taste, { rows, columns, now })
        : [finishedLine(block, iconOf(block), story, taste)],
    );
    region.draw(lines.length > 0 ? lines : idleLines(now), above);
    above = [];
  };
  /** Between steps: the lock is taken, roles and invariants are looked at. */
  const idleLines = (now: number): readonly string[] => {
    if (heardAt === undefined || now - heardAt < IDLE_MS) return [];
    const text = `looking at the hosts ${durationText(Math.floor((now - heardAt) / 1000) * 1000).replace('.0', '')}`;
    return [`${taste.pen.paint('yellow', spinner.fetch())} ${taste.pen.paint('gray', text)}`];
  };
  const onExit = (): void => stop();
  /** Messages of others go up above the drawing at once: who pressed Ctrl-C wants to read the answer. */
  let unfinished = '';
  const relay = (chunk: unknown): boolean => {
    const lines = `${unfinished}${String(chunk)}`.split('\n');
    unfinished = lines.pop() ?? '';
    above.push(...lines.filter((line) => line !== ''));
    return true;
  };
  /** Ctrl-Z: the shell gets its terminal as it was; `fg` draws again. */
  const onSuspend = (): void => {
    stop();
    process.once('SIGCONT', start);
    process.kill(process.pid, 'SIGSTOP');
  };
  const start = (): void => {
    if (isOpen) return;
    isOpen = true;
    process.on('SIGTSTP', onSuspend);
    const direct = stderr.write.bind(stderr);
    output.hijack();
    // Held back until the end by listr2; `release` puts the stream's own `write` back.
    stderr.write = stderr.isTTY === true ? relay : direct;
    spinner.start(draw);
    process.once('exit', onExit);
    stdout.on('resize', draw);
  };
  const stop = (): void => {
    if (!isOpen) return;
    isOpen = false;
    process.off('SIGTSTP', onSuspend);
    spinner.stop();
    heardAt = undefined;
    draw();
    stdout.off('resize', draw);
    process.off('exit', onExit);
    output.release();
  };
  /** Lets blocks where nothing runs any more scroll up; `but` may still get hosts. */
  const settle = (but?: string): void => {
    for (const [step, block] of blocks) {
      if (step === but || block.running.size > 0) continue;
      above.push(...finishedLines(block, iconOf(block), story, taste));
      blocks.delete(step);
    }
  };
  const blockOf = (event: { step: string; name: string }): Block => {
    settle(event.step);
    const block = blocks.get(event.step) ?? newBlock(event.step, event.name, Date.now());
    blocks.set(event.step, block);
    return block;
  };
  const say = (lines: readonly string[]): void => {
    settle();
    above.push(...lines);
  };
  const take = (event: RunEvent): void => {
    switch (event.event) {
      case 'run_started':
        return say(runLines(event, taste));
      case 'play_started':
        return say(playLines(event, taste));
      case 'step_started':
        blockOf(event).running.set(event.host, { since: Date.now(), message: '' });
        return;
      case 'step_progress': {
        const running = blocks.get(event.step)?.running.get(event.host);
        if (running) Object.assign(running, { message: progressText(event), percent: event.percent });
        return;
      }
      case 'step_finished': {
        const block = blockOf(event);
        block.running.delete(event.host);
        block.finished.push(event);
        block.until = Date.now();
        return;
      }
      case 'run_finished':
      case 'run_interrupted':
        // Hosts still at work will not tell their end any more.
        for (const block of blocks.values()) block.running.clear();
        return say(recap(story, taste.pen));
      default: {
        const line = remark(event, taste);
        if (line !== undefined) say([line]);
      }
    }
  };
  return {
    show(event) {
      start();
      heardAt = event.event === 'run_finished' || event.event === 'run_interrupted' ? undefined : Date.now();
      tell(story, event, taste.pen);
      take(event);
    },
    async aside(work) {
      const wasOpen = isOpen;
      settle();
      stop();
      try {
        return await work();
      } finally {
        if (wasOpen) start();
      }
    },
    async close() {
      settle();
      stop();
      await flushed(stdout);
    },
  };
}
