import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { View } from '../report/view.ts';

/** Asks on the terminal; undefined where there is none, so that nothing waits for an answer that cannot come. */
export function terminalAsk(
  view?: () => View | undefined,
): ((question: string, isSecret?: boolean) => Promise<string>) | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  return async (question, isSecret = false) => {
    const work = async (): Promise<string> => {
      const mute = new Writable({ write: (_chunk, _encoding, done) => done() });
      if (isSecret) process.stderr.write(question);
      const lines = createInterface({
        input: process.stdin,
        output: isSecret ? mute : process.stderr,
        terminal: true,
      });
      try {
        return await lines.question(isSecret ? '' : question);
      } finally {
        lines.close();
        if (isSecret) process.stderr.write('\n');
      }
    };
    const open = view?.();
    return open ? open.aside(work) : work();
  };
}
