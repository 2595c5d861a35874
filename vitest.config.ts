import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';
import { LeftOut } from './test/_left-out.ts';

/** Those that take minutes, of which none should be the last to begin. */
const LONG =
  /\/(playbooks|modules\/(dbackup|pacemaker|drbd)|lab|cluster)\/|taken-up-again-pair|\/run\/(kill|cut|long-command)\.|transports\/job\.|on-node\./;

class LongFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => (LONG.test(moduleId) ? 0 : 1);
    return Promise.resolve(files.toSorted((a, b) => rank(a) - rank(b)));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Processes, not threads: tests start programs, send signals and change the environment.
    pool: 'forks',
    sequence: { sequencer: LongFirst },
    maxWorkers: 3,
    testTimeout: 180_000,
    // A machine that has no image yet makes them first.
    hookTimeout: 900_000,
    globalSetup: ['test/_labs-down.ts'],
    reporters: ['default', new LeftOut()],
  },
});
