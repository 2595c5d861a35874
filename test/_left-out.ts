import type { Reporter, TestModule, Vitest } from 'vitest/node';

/** Says at the end of a run which tests it left out, and where they are run: a green end is not one of those. */
export class LeftOut implements Reporter {
  private isChoice = false;

  onInit({ config }: Vitest): void {
    this.isChoice = config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = modules.flatMap(({ children, relativeModuleId }) => {
      // Those of a hook that failed are skipped too, but were not left out.
      const count = [...children.allTests('skipped')].filter(({ options }) => options.mode === 'skip').length;
      return count === 0 ? [] : [{ count, file: relativeModuleId.replace(/^test\/|\.test\.ts$/g, '') }];
    });
    if (counts.length === 0 || this.isChoice) return;
    const total = counts.reduce((sum, { count }) => sum + count, 0);
    const files = counts.map(({ count, file }) => `${file} ${count}`).join(', ');
    process.stdout.write(
      `Left out: ${total} tests that take hours, or are of another database server: ${files}\n` +
        '  npm run matrix runs them\n\n',
    );
  }
}
