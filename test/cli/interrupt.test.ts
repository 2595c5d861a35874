import { expect, test } from 'vitest';
import { project } from '../run/_engine.ts';
import { eventsOf, start } from './_drillbook.ts';

test('Ctrl-C is heard, and the disk gets its events, among steps that wait for nothing', async () => {
  const tasks = Array.from({ length: 200 }, (_, i) => `  - { name: s${i}, debug: hello }`).join('\n');
  const book = project(`tasks:\n${tasks}`, { hosts: Array.from({ length: 100 }, (_, i) => `h${i}`) });
  const run = start(
    ['run', book.playbook, '-i', book.inventory, '--state', book.state, '--output', 'jsonl'],
    { onLine: (line) => void (line.includes('"step_finished"') && run.kill('SIGINT')) },
  );
  const said = await run.ended;
  expect(said.code).toBe(3);
  const ended = eventsOf(said).filter(({ event }) => event === 'step_finished').length;
  expect(ended).toBeGreaterThan(0);
  expect(ended).toBeLessThan(20_000);
});
