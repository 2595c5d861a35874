import { expect, test } from 'vitest';
import { project } from '../run/_engine.ts';

test('it fails with its reason, also where a rescue had taken the failure over', async () => {
  const book = project(`
tasks:
  - block: [{ name: breaks, shell: exit 3 }]
    rescue: [{ name: ends, fail: 'no way on after {{failure.task}}' }]
  - { name: never, shell: 'true' }
`);
  const { code, story, events } = await book.go();
  expect([code, story]).toEqual([1, ['breaks failed', 'ends failed']]);
  expect(events.find((event) => event.event === 'step_finished' && event.name === 'ends')).toMatchObject({
    reason: 'no way on after breaks',
  });
});
