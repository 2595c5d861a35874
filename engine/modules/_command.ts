import { z } from 'zod';
import type { ShResult } from '../core/host.ts';
import type { Context, Outcome } from '../core/module.ts';
import { lastWords, linesOf, trimmed } from './_sh.ts';

export const chdir = z.string().optional().describe('Directory to run in.');
export const creates = z
  .string()
  .optional()
  .describe('Path or glob on the node; when it exists nothing is run.');
export const removes = z
  .string()
  .optional()
  .describe('Path or glob on the node; when it does not exist nothing is run.');
export const stdin = z
  .string()
  .optional()
  .describe('Standard input; a secret given here is on no process list.');
export const stdinAddNewline = z
  .boolean()
  .default(true)
  .describe('Ends `stdin` with a newline where it has none (default true).');

export const returnsOfCommand = {
  code: z.int().describe('exit code; 128 + n after signal n'),
  stdout: z.string().describe('standard output, without the line ends at its end'),
  stderr: z.string().describe('standard error, likewise'),
  stdout_lines: z.array(z.string()).describe('standard output as a list of lines'),
  stderr_lines: z.array(z.string()).describe('standard error as a list of lines'),
  cmd: z.array(z.string()).describe('the words that were run'),
  skipped_because: z.string().optional().describe('why nothing was run (`creates`, `removes`)'),
};

interface Given {
  readonly chdir?: string | undefined;
  readonly creates?: string | undefined;
  readonly removes?: string | undefined;
}

/** Says on standard output that the command was not run; the same when the step is taken up again. */
const TOKEN = 'drillbook-not-run-4f1d2c9a7be84e0c';

export const guardArgs = (given: Given): string[] => [
  TOKEN,
  given.chdir ?? '',
  given.creates ?? '',
  given.removes ?? '',
];

/** Takes the four `guardArgs` off "$@", goes to the directory, ends the script where nothing is to be run. */
export const GUARD = `
drillbook_any() {
  IFS=
  for drillbook_path in $1; do
    if [ -e "$drillbook_path" ] || [ -L "$drillbook_path" ]; then unset IFS; return 0; fi
  done
  unset IFS
  return 1
}
if [ -n "$2" ]; then CDPATH= cd -- "$2" 2>/dev/null || { printf '%s chdir' "$1"; exit 0; }; fi
if [ -n "$3" ] && drillbook_any "$3"; then printf '%s creates' "$1"; exit 0; fi
if [ -n "$4" ] && ! drillbook_any "$4"; then printf '%s removes' "$1"; exit 0; fi
shift 4
unset drillbook_path
`;

/** For --check: whether `creates` and `removes` let it run. */
export async function wouldRun(ctx: Context, given: Given): Promise<boolean> {
  if (given.creates === undefined && given.removes === undefined) return true;
  const { stdout } = await ctx.sh(GUARD, { args: guardArgs(given), isLook: true });
  return stdout !== `${TOKEN} creates` && stdout !== `${TOKEN} removes`;
}

export function standardInput(given: {
  readonly stdin?: string | undefined;
  readonly stdin_add_newline: boolean;
}): string | undefined {
  if (given.stdin === undefined || given.stdin === '' || !given.stdin_add_newline) return given.stdin;
  return given.stdin.endsWith('\n') ? given.stdin : `${given.stdin}\n`;
}

/** What a command said, as the outcome of its step. */
export function commandOutcome(said: ShResult, given: Given, cmd: readonly string[]): Outcome {
  const result = {
    code: said.code,
    stdout: trimmed(said.stdout),
    stderr: trimmed(said.stderr),
    stdout_lines: linesOf(said.stdout),
    stderr_lines: linesOf(said.stderr),
    cmd,
  };
  const nothing = { ...result, stdout: '', stdout_lines: [], stderr_lines: [] };
  if (said.stdout === `${TOKEN} chdir`) {
    return {
      result: { ...nothing, code: 1 },
      failed: `cannot go to the directory ${given.chdir}`,
      isChanged: false,
    };
  }
  if (said.stdout === `${TOKEN} creates`) {
    return { result: { ...nothing, skipped_because: `${given.creates} exists` }, isChanged: false };
  }
  if (said.stdout === `${TOKEN} removes`) {
    return { result: { ...nothing, skipped_because: `${given.removes} does not exist` }, isChanged: false };
  }
  if (said.code === 0) return { result };
  const words = lastWords(said);
  return { result, failed: words === '' ? `exit code ${said.code}` : `exit code ${said.code}: ${words}` };
}
