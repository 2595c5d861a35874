import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ParseArgsOptionDescriptor, ParseArgsOptionsConfig } from 'node:util';
import type { Redactor } from '../core/secret.ts';
import type { Command, Invocation } from './_command.ts';
import { GLOBAL, GLOBAL_HELP, OF_ANSIBLE } from './_global.ts';

const commandNames = (): string[] =>
  readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.ts') && !file.startsWith('_') && file !== 'main.ts')
    .map((file) => file.slice(0, -3))
    .sort();

const load = async (name: string): Promise<Command> =>
  ((await import(`./${name}.ts`)) as { default: Command }).default;

async function overview(): Promise<string> {
  const rows = await Promise.all(
    commandNames().map(async (name) => `  ${name.padEnd(14)}${(await load(name)).summary}`),
  );
  return `drillbook: runbooks for two-node high-availability clusters\n\n${rows.join('\n')}\n\ndrillbook COMMAND --help tells more.\n`;
}

function helpOf(name: string, command: Command): string {
  const rowsOf = (options: ParseArgsOptionsConfig, help: Readonly<Record<string, string>>): string[] =>
    Object.entries<ParseArgsOptionDescriptor>(options).map(([option, { type, short }]) => {
      const value = type === 'string' ? ' VALUE' : '';
      return `  ${`${short ? `-${short}, ` : '    '}--${option}${value}`.padEnd(32)}${help[option] ?? ''}`;
    });
  const own = rowsOf(command.options, command.help);
  const parts = [
    command.summary,
    `  drillbook ${name} ${command.usage}`,
    ...(own.length > 0 ? [own.join('\n')] : []),
    ['With every command:', ...rowsOf(GLOBAL, GLOBAL_HELP)].join('\n'),
  ];
  return `${parts.join('\n\n')}\n`;
}

function stateDir(given: string | undefined): string {
  const { DRILLBOOK_STATE: own, XDG_STATE_HOME: xdg } = process.env;
  return given ?? own ?? join(xdg || join(homedir(), '.local', 'state'), 'drillbook');
}

/** `reason` is what is told of work that was given up for it. */
function interruptSignal(reason: Error): AbortSignal {
  const controller = new AbortController();
  let isAsked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    // A terminal that goes away says so more than once, and an older Node that started us hands all on as this.
    const isHangup = signal === 'SIGHUP';
    if (isAsked && !isHangup) {
      process.stderr.write(
        'stopped at once; what was under way is in doubt, `drillbook resume` settles it\n',
      );
      process.exit(3);
    }
    isAsked ||= !isHangup;
    if (controller.signal.aborted) return;
    controller.abort(reason);
    process.stderr.write(`\n${signal}: what is under way ends first; once more stops at once\n`);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onSignal);
  return controller.signal;
}

let interrupted: AbortSignal | undefined;

/** The contract's exit codes, by the first word of the error's code. */
function exitCodeOf(error: unknown): number {
  const family = error instanceof Error && 'code' in error ? String(error.code).split('.')[0] : '';
  if (['usage', 'parse', 'plan', 'lint'].includes(family ?? '')) return 2;
  if (family === 'interrupt') return 3;
  return family === 'guard' ? 5 : family === 'doubt' ? 4 : 1;
}

/** Of the command; an error may quote what it heard. */
let redactor: Redactor | undefined;

async function problemOut(error: unknown): Promise<number> {
  const { errorText } = await import('../report/problem.ts');
  const isColor = process.stderr.isTTY && !process.env['NO_COLOR'] && !process.argv.includes('--no-color');
  const text = errorText(error, { isColor });
  process.stderr.write(`${redactor?.text(text) ?? text}\n`);
  return exitCodeOf(error);
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv[0] === 'help' && argv[1] !== undefined ? [argv[1], '--help'] : argv;
  if (name === '--version' || name === 'version') {
    const { default: about } = await import('../../package.json', { with: { type: 'json' } });
    process.stdout.write(`drillbook ${about.version}\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(await overview());
    return 0;
  }
  const { DrillbookError } = await import('../core/error.ts');
  if (!commandNames().includes(name)) {
    const { suggest } = await import('../core/nearest.ts');
    throw new DrillbookError('usage.command', `no command \`${name}\``, {
      hint: suggest(name, [...commandNames(), 'help', 'version']),
    });
  }
  const command = await load(name);
  const { nearest } = await import('../core/nearest.ts');
  const parsed = (() => {
    try {
      return parseArgs({ args: rest, options: { ...command.options, ...GLOBAL }, allowPositionals: true });
    } catch (cause) {
      const message = ((cause as Error).message.split('. ')[0] ?? '').replace(
        /^Option '(?:-\w, )?(--[\w-]+) <value>' argument missing$/,
        '`$1` wants a value',
      );
      const unknown = /^Unknown option '(--.+)'/.exec(message)?.[1];
      const options = Object.keys({ ...command.options, ...GLOBAL }).map((option) => `--${option}`);
      const near = unknown === undefined ? undefined : nearest(unknown, options);
      const other = Object.hasOwn(OF_ANSIBLE, unknown ?? '') ? OF_ANSIBLE[unknown ?? ''] : undefined;
      const usage = `usage: drillbook ${name} ${command.usage}`;
      const hint = other ?? (near === undefined ? usage : `did you mean \`${near}\`?`);
      throw new DrillbookError('usage.option', `${name}: ${message}`, { hint });
    }
  })();
  const { inventory, ...others } = parsed.values as Invocation['options'];
  // Several inventories are one text from here on, as the journal keeps them.
  const spec = inventory === undefined ? {} : { inventory: [inventory].flat().join(',') };
  const values: Invocation['options'] = { ...others, ...spec };
  if (values['help']) {
    process.stdout.write(helpOf(name, command));
    return 0;
  }
  const output = (values['output'] as string | undefined) ?? (process.stdout.isTTY ? 'live' : 'plain');
  if (output !== 'live' && output !== 'plain' && output !== 'jsonl' && output !== 'json') {
    throw new DrillbookError('usage.option', `--output ${output}: live, plain, jsonl or json is wanted`);
  }
  const { Redactor } = await import('../core/secret.ts');
  redactor = new Redactor();
  return command.run({
    redactor,
    positionals: parsed.positionals,
    options: values,
    stateDir: stateDir(values['state'] as string | undefined),
    output,
    isColor: values['no-color'] !== true && !process.env['NO_COLOR'] && process.stdout.isTTY,
    isVerbose: values['verbose'] === true,
    signal: (interrupted ??= interruptSignal(new DrillbookError('interrupt.signal', 'interrupted'))),
  });
}

/** The whole program: its exit code, whatever happens. */
export const program = (argv: readonly string[]): Promise<number> => main(argv).catch(problemOut);

/** Runs it for this process, and ends that. */
export async function begin(): Promise<never> {
  // A reader that goes away early (`| head`, a terminal) is no error of ours, and must not end a run that is under way.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  const code = await program(process.argv.slice(2));
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  process.exit(code);
}

if (import.meta.main) await begin();
