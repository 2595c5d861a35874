import { userInfo } from 'node:os';
import { DrillbookError } from '../core/error.ts';
import type { Result } from '../core/module.ts';
import { isDrillOver } from '../drill/hold.ts';
import { openView } from '../report/view.ts';
import type { View } from '../report/view.ts';
import { harmless } from '../report/text.ts';
import { frozenStore } from '../run/edits/frozen.ts';
import { hasReleased } from '../run/journal/journal.ts';
import type { Journal } from '../run/journal/journal.ts';
import { holdRun } from '../run/journal/hold.ts';
import { execute } from '../run/run.ts';
import type { RunRequest } from '../run/run.ts';
import { openTransport } from '../transports/open.ts';
import { terminalAsk } from './_ask.ts';
import type { Invocation } from './_command.ts';
import type { Prepared } from './_prepare.ts';

/** What `run` and `resume` share on their way into the runner. */
export interface Execution {
  readonly invocation: Invocation;
  readonly prepared: Prepared;
  readonly journal: Journal;
  readonly isCheck: boolean;
  readonly options: Result;
  readonly onInterrupt?: 'rerun' | 'skip' | 'fail' | undefined;
  readonly acceptChanges?: boolean;
  readonly isAsBegun?: boolean;
  /** Where its view goes; standard output when left out. */
  readonly out?: NodeJS.WriteStream;
}

/** `--step`: asks until one of the answers is given, so that a stray Enter runs nothing. */
function stepAsker(ask: (question: string) => Promise<string>): NonNullable<RunRequest['mayRun']> {
  let isAll = false;
  return async ({ name, id, moduleName, destroys }, hosts) => {
    const danger = destroys === undefined ? '' : ` It destroys: ${destroys}.`;
    const on = hosts.length > 6 ? `${hosts.length} hosts` : hosts.join(', ');
    const question = `${name} [${moduleName}] on ${on} (${id}): run it?${danger} [y]es, [n]o: skip it, [c]ontinue without asking, [q]uit: `;
    while (!isAll) {
      const answer = (await ask(harmless(question))).trim().toLowerCase();
      if (['y', 'yes'].includes(answer)) return true;
      if (['n', 'no'].includes(answer)) return false;
      if (['q', 'quit'].includes(answer)) throw new DrillbookError('interrupt.step', 'quit before a step');
      isAll = ['c', 'continue'].includes(answer);
    }
    return true;
  };
}

function countOption(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1)
    throw new DrillbookError('usage.option', `--${name} ${String(value)}: a whole number from 1 is wanted`);
  return number;
}

/** The name of who runs this process. */
export const operatorHere = (): string => {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown'); // A user id without a name, as containers have.
  }
};

/** Wrong options are told before a run is begun for them. */
export function checkOptions({ options }: Invocation): void {
  countOption(options['forks'], 'forks');
  if (options['step'] === true && !terminalAsk())
    throw new DrillbookError(
      'usage.option',
      '--step asks before each step, and there is no terminal to ask on',
    );
}

export async function executeWithView(execution: Execution): Promise<number> {
  const { invocation, prepared, journal, isCheck, options } = execution;
  const { isColor, isVerbose, output, signal } = invocation;
  const kind = output === 'json' ? 'jsonl' : output;
  const isDiff = invocation.options['diff'] === true;
  const letGo = holdRun(invocation.stateDir, journal.run);
  const view: View = await openView(kind, {
    stdout: execution.out ?? process.stdout,
    stderr: process.stderr,
    isColor,
    isVerbose,
    isDiff,
  });
  journal.subscribe((event) => view.show(event));
  const ask = terminalAsk(() => view);
  const { operator, yes, step, forks } = invocation.options;
  try {
    return await execute({
      ...prepared,
      frozen: frozenStore(invocation.stateDir, journal.run),
      hasReleased: (run) => hasReleased(invocation.stateDir, run) || isDrillOver(invocation.stateDir, run),
      tell: (text) => void process.stderr.write(`${harmless(text)}\n`),
      journal,
      open: (host, tools) => openTransport(host, { ...tools, ask }),
      operator: typeof operator === 'string' ? operator : operatorHere(),
      isCheck,
      interrupt: signal,
      forks: countOption(forks, 'forks'),
      code: typeof yes === 'string' ? yes : undefined,
      ask,
      onInterrupt: execution.onInterrupt,
      acceptChanges: execution.acceptChanges,
      isAsBegun: execution.isAsBegun,
      mayRun: step === true && ask ? stepAsker(ask) : undefined,
      options,
    });
  } finally {
    await view.close();
    try {
      journal.close();
    } finally {
      letGo();
    }
  }
}
