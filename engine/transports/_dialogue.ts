import { StringDecoder } from 'node:string_decoder';
import type { Answer, Become, DialogueResult, ShOptions } from '../core/host.ts';
import { StepFailed, Unreachable } from '../core/error.ts';
import { becomeCommand, becomeFailure, passwordMissing, passwordRefused, promptWatch } from './_become.ts';
import { body, newMarker } from './_frame.ts';
import type { Session } from './_session.ts';
import { stopped, within } from './_stop.ts';

/**
 * The command lies in a private file that removes itself, so that no value of it is in the process list and no
 * line limit of a terminal (4096 bytes) applies. Echo is off before it starts: what is typed is not shown.
 */
const STAGE_SCRIPT = `
umask 077
file=$(mktemp) || exit 1
printf %s "$1" >"$file" || { rm -f "$file"; exit 1; }
printf %s "$file"
`;

const plain = (pattern: RegExp): RegExp => new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));

/** The answer whose prompt comes first in `text`: the next one, or one behind such as may be passed over. */
function find(
  text: string,
  answers: readonly Answer[],
  from: number,
): { at: number; end: number; shown: string } | undefined {
  let best: { at: number; start: number; end: number; shown: string } | undefined;
  for (let at = from; at < answers.length; at++) {
    const answer = answers[at];
    if (answer === undefined) break;
    const match = plain(answer.prompt).exec(text);
    if (match !== null && (best === undefined || match.index < best.start)) {
      best = { at, start: match.index, end: match.index + match[0].length, shown: match[0] };
    }
    if (answer.isOptional !== true) break;
  }
  return best;
}

/** See `Transport.dialogue`. */
export async function runDialogue(
  session: Session,
  command: string,
  answers: readonly Answer[],
  options: ShOptions = {},
): Promise<DialogueResult> {
  const { carrier, redactor } = session;
  const { host } = carrier;
  const { signal } = options;
  const become: Become | undefined = options.become?.user === carrier.user ? undefined : options.become;
  if (become?.password !== undefined) redactor.add(become.password);

  const start = newMarker();
  const prompt = newMarker();
  const script = body({ script: command, args: options.args, env: options.env });
  const inner = `stty -echo\nrm -f "$0"\nprintf '${start}%d %s\\n' $$ "$(tty)"\n${script}\n`;
  const staged = await session.exchange(STAGE_SCRIPT, { args: [inner], become, signal });
  if (staged.code !== 0) {
    throw new StepFailed(
      `cannot prepare the dialogue on ${host}: ${redactor.text(staged.stderr.toString().trim())}`,
    );
  }
  const file = staged.stdout.toString();
  const line = becomeCommand(become, carrier.shell, `exec ${carrier.shell} ${file}`, prompt);
  const wire = await carrier.start(`stty -echo; ${line}`, { isPty: true });

  const decoder = new StringDecoder('utf8');
  const watch = become === undefined ? undefined : promptWatch(become, prompt);
  const answered: string[] = [];
  let before = '';
  let output: string | undefined;
  let pending = '';
  let next = 0;
  let pid = 0;
  let begin: (() => void) | undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  let tty = '';
  let failure: Unreachable | undefined;
  let typing: Promise<void> = Promise.resolve();

  function refuse(reason: Unreachable): void {
    failure = reason;
    wire.destroy();
  }

  function login(text: string): void {
    before += text;
    const hello = new RegExp(`${start}(\\d+) (.*)\\n`).exec(before);
    if (hello !== null) {
      pid = Number(hello[1]);
      begin?.();
      tty = hello[2] ?? '';
      output = '';
      return converse(before.slice(hello.index + hello[0].length));
    }
    const asked = become === undefined ? undefined : watch?.(text);
    if (become === undefined || asked === undefined) return;
    if (asked === 'again') return refuse(passwordRefused(host, become));
    if (become.password === undefined) return refuse(passwordMissing(host, become));
    wire.stdin.write(`${become.password}\r`);
  }

  /** The command may have switched echo on again itself; then it goes off once more before something is typed. */
  async function type(answer: string): Promise<void> {
    const quiet = 'stty -echo <"$1"';
    const done = await session.exchange(quiet, { args: [tty], become, signal });
    if (done.code !== 0 && become !== undefined) await session.exchange(quiet, { args: [tty], signal });
    wire.stdin.write(`${answer}\r`);
  }

  function converse(text: string): void {
    output += text;
    pending += text;
    for (;;) {
      const found = find(pending, answers, next);
      const answer = found && answers[found.at]?.answer;
      if (found === undefined || answer === undefined) return;
      pending = pending.slice(found.end);
      next = found.at + 1;
      answered.push(found.shown);
      typing = typing.then(() => type(answer)).catch(() => undefined);
    }
  }

  const take = (bytes: Buffer): void => {
    const text = decoder.write(bytes).replaceAll('\r', '');
    if (output === undefined) return login(text);
    options.onOutput?.(text);
    converse(text);
  };
  wire.stdout.on('data', take);
  wire.stderr.on('data', take);
  wire.stdin.on('error', () => undefined);

  const onAbort = (): void => {
    // The command may run already although its greeting is still on its way.
    void within(5000, Promise.race([begun, wire.ended]))
      .then(() => (pid === 0 ? undefined : within(10_000, session.kill(pid, become))))
      .finally(() => wire.destroy());
  };
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const ending = await wire.ended;
  signal?.removeEventListener('abort', onAbort);
  await typing;

  if (signal?.aborted === true) throw stopped(host, signal);
  if (failure !== undefined) throw failure;
  if (output === undefined && become !== undefined && !ending.isLost)
    throw becomeFailure(host, become, before, redactor);
  if (ending.code === undefined) {
    throw new Unreachable(host, 'lost', `the connection to ${host} was lost during a dialogue`, {
      hint: 'whether the command ran to its end is not known',
    });
  }
  return { code: ending.code, output: output ?? '', answered };
}
