import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import { startSshd } from '../transports/_sshd.ts';
import type { Sshd } from '../transports/_sshd.ts';
import { bySsh, constructs, straight, TOKEN, wrongs } from './_matrix.ts';
import type { Goal } from './_matrix.ts';
import { startLine } from './_proxy.ts';
import type { Line } from './_proxy.ts';

let sshd: Sshd;
let goal: Promise<Goal> | undefined;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd.stop());

/** Runs the playbook over a line of its own; `befall` says what happens to it at an event. */
async function run(befall: (event: RunEvent, line: Line) => void): Promise<string[]> {
  goal ??= straight(bySsh(sshd));
  const wanted = await goal;
  const line = await startLine(sshd.port);
  try {
    const book = constructs(bySsh(sshd, line.port));
    const { code } = await book.go({ given: { token: TOKEN }, onEvent: (event) => befall(event, line) });
    return wrongs(book, { code, stderr: '' }, wanted);
  } finally {
    await line.close();
  }
}

/** Something befalls the run once at each event of a step, but for one that was told before. */
function atEach(what: (line: Line) => void): {
  befall: (event: RunEvent, line: Line) => void;
  times(): number;
} {
  const known = new Set<string>();
  return {
    befall(event, line) {
      if (
        event.event !== 'step_started' &&
        event.event !== 'step_finished' &&
        event.event !== 'step_progress'
      )
        return;
      if (event.event === 'step_progress' && event.item === undefined) return;
      const key = `${event.event} ${event.step} ${event.host} ${event.event === 'step_progress' ? `${event.item} ${event.attempt}` : ''}`;
      if (known.has(key)) return;
      known.add(key);
      what(line);
    },
    times: () => known.size,
  };
}

test('the line is cut at every event of the journal in one run, which goes on by itself', async () => {
  const { befall, times } = atEach((line) => line.cut());
  expect(await run(befall)).toEqual([]);
  expect(times()).toBeGreaterThan(150);
});
