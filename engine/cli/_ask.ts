import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { DrillbookError } from '../core/error.ts';
import type { View } from '../report/view.ts';

/**
 * Asks on the terminal; undefined where there is none, so that nothing waits for an answer that cannot come. Ctrl-C and
 * Ctrl-D at a question interrupt it and all that come after. Hosts side by side ask one after the other.
 */
export function terminalAsk(
  view?: () => View | undefined,
): ((question: string, isSecret?: boolean) => Promise<string>) | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  const askNow = async (question: string, isSecret: boolean): Promise<string> => {
    const work = async (): Promise<string> => {
      const mute = new Writable({ write: (_chunk, _encoding, done) => done() });
      const lines = createInterface({
        input: process.stdin,
        output: isSecret ? mute : process.stderr,
        terminal: true,
      });
      // Echo is off by now: what is typed at once does not show either.
      if (isSecret) process.stderr.write(question);
      try {
        return await lines.question(isSecret ? '' : question);
      } catch (cause) {
        if (!(cause instanceof Error) || cause.name !== 'AbortError') throw cause;
        if (!isSecret) process.stderr.write('\n');
        throw new DrillbookError('interrupt.question', 'interrupted at a question');
      } finally {
        lines.close();
        if (isSecret) process.stderr.write('\n');
      }
    };
    const open = view?.();
    return open ? open.aside(work) : work();
  };
  let turn: Promise<unknown> = Promise.resolve();
  return (question, isSecret = false) => {
    const answer = turn.then(() => askNow(question, isSecret));
    turn = answer;
    return answer;
  };
}
