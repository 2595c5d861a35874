import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { RunEvent } from '../../engine/core/event.ts';
import { momentOf, p95 } from '../../engine/modules/window.ts';
import { project } from '../run/_engine.ts';
import type { Ran } from '../run/_engine.ts';

type Finished = Extract<RunEvent, { event: 'step_finished' }>;

const at = (text: string): number => new Date(`2026-11-21T${text}`).getTime();

test('a time of day is the next one, or the last where that is less than six hours ago', () => {
  const now = at('22:30');
  expect(momentOf('23:00', now)).toBe(at('23:00'));
  expect(momentOf('02:30', now)).toBe(new Date('2026-11-22T02:30').getTime());
  expect(momentOf('22:00', now)).toBe(at('22:00'));
  expect(momentOf('16:31', now)).toBe(at('16:31'));
  expect(momentOf('16:29', now)).toBe(new Date('2026-11-22T16:29').getTime());
  expect(momentOf('23:50', new Date('2026-11-22T00:10').getTime())).toBe(at('23:50'));
  expect(momentOf('2026-11-20T02:00:00Z', now)).toBe(Date.parse('2026-11-20T02:00:00Z'));
  for (const wrong of ['24:00', '12:60', 'tomorrow', '2026', '2026-13-01T00:00'])
    expect(() => momentOf(wrong, now)).toThrow(wrong);
});

test('of twenty runs the longest but one tells, of few the longest', () => {
  expect(p95([])).toBeUndefined();
  expect(p95([3, 1, 2])).toBe(3);
  expect(p95(Array.from({ length: 20 }, (_, i) => 20 - i))).toBe(19);
});

const BOOK = `
name: Test
inputs: { ends: { default: '' }, needs: { default: 0s } }
plays:
  - hosts: all
    tasks:
      - { name: before, shell: 'true' }
      - { name: window, window: { ends: '{{inputs.ends}}' } }
      - { name: after, shell: sleep 1 }
`;

const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

test('what is left is told by earlier runs that went well, without the time they stood still', async () => {
  const book = project(BOOK);
  const go = (seconds: number): Promise<Ran> => book.go({ given: { ends: inSeconds(seconds) } });
  const reasonOf = ({ events }: Ran): string | undefined =>
    events.find((event): event is Finished => event.event === 'step_finished' && event.outcome === 'failed')
      ?.reason;

  const unknown = await go(60);
  expect([unknown.code, unknown.story]).toEqual([1, ['before changed', 'window failed']]);
  expect(reasonOf(unknown)).toContain('is not known');

  // Without a window nothing is asked.
  const interrupt = new AbortController();
  const first = await book.go({
    request: { interrupt: interrupt.signal },
    onEvent: (event) =>
      event.event === 'step_finished' && event.name === 'window' ? interrupt.abort() : undefined,
  });
  expect(first.code).toBe(3);
  await pause(4000);
  expect((await book.go({}, first.run)).code).toBe(0);

  const enough = await go(60);
  expect(enough.code).toBe(0);
  const { result } = enough.events.find(
    (event) => event.event === 'step_finished' && event.name === 'window',
  ) as Finished;
  expect(result).toMatchObject({ runs: 1 });
  expect(result['needed_s']).toBeGreaterThanOrEqual(1);
  expect(result['needed_s']).toBeLessThan(4);

  const short = await go(0.5);
  expect([short.code, short.story]).toEqual([1, ['before changed', 'window failed']]);
  expect(reasonOf(short)).toMatch(/end(s|ed) at .*; what is left takes \d.*2 known/);
  expect(reasonOf(await go(-60))).toContain('the window ended at');
});

const PAIR_BOOK = `
name: Test
inputs: { ends: { default: '' } }
plays:
  - hosts: all
    serial: 1
    tasks:
      - { name: before, shell: 'true', changed_when: false }
  - hosts: all
    tasks:
      - { name: first, run_once: true, window: { ends: '{{inputs.ends}}', needs: 15m } }
      - { name: look, shell: 'true', changed_when: false }
  - hosts: all
    tasks:
      - { name: second, window: { ends: '{{inputs.ends}}', needs: 15m }, when: host.name == "b" }
      - { name: after, copy: { dest: '{{dir}}/done', content: done } }
`;

test('a run that had nothing to do, or that on one host alone, does not tell how long one takes that has', async () => {
  const book = project(PAIR_BOOK, { hosts: ['a', 'b'] });
  /** Of each window the earlier runs that tell, and the code. */
  const told = async (seconds: number): Promise<readonly unknown[]> => {
    const ran = await book.go({ given: { ends: inSeconds(seconds) } });
    const runs = ran.events.flatMap((event) =>
      event.event === 'step_finished' &&
      ['first', 'second'].includes(event.name) &&
      event.outcome !== 'skipped'
        ? [event.result['runs']]
        : [],
    );
    return [...runs, ran.code];
  };
  const undo = (...hosts: readonly string[]): void =>
    hosts.forEach((host) => rmSync(join(book.dir, host, 'done')));

  writeFileSync(join(book.dir, 'a/done'), 'done');
  expect((await book.go()).code, 'on b alone').toBe(0);
  expect((await book.go()).code, 'nothing to do').toBe(0);
  undo('a', 'b');
  expect(await told(60)).toEqual([0, 1]);
  expect(await told(1000)).toEqual([0, 1, 0]);
  undo('a', 'b');
  expect(await told(60)).toEqual([1, 2, 0]);
});
