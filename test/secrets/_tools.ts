import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder that is gone when the test ends, with what tests of encrypted files do in it. */
export function folder(): {
  readonly path: string;
  write(name: string, content: string | Uint8Array, mode?: number): string;
  /** Runs a program there; returns its standard output. */
  run(command: string, args: readonly string[], input?: string): string;
} {
  const path = mkdtempSync(join(tmpdir(), 'drillbook-secrets-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    write(name, content, mode = 0o600) {
      const file = join(path, name);
      writeFileSync(file, content, { mode });
      return file;
    },
    run: (command, args, input) =>
      execFileSync(command, args, { cwd: path, input, stdio: ['pipe', 'pipe', 'pipe'] }).toString(),
  };
}
