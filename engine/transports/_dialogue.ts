import { StringDecoder } from 'node:string_decoder';
import { DrillbookError } from '../core/error.ts';
import type { Answer, DialogueResult, JobEnd, JobId, JobOptions } from '../core/host.ts';
import { body } from './_frame.ts';
import { attach, jobEnd, notBegun, start } from './_job.ts';
import { FIND_SCRIPT, folderOf, SAYS } from './_job-claim.ts';
import type { RawOptions, Session } from './_session.ts';

/** Seconds between two looks at what the program shows. */
const ATTENTIVE = [0.05, 0.05] as const;

const NEEDS = `command -v script >/dev/null || { echo 'a dialogue needs \`script\` (util-linux, bsdutils) there' >&2; exit; }
command -v mkfifo >/dev/null || { echo 'a dialogue needs mkfifo there' >&2; exit; }`;

/**
 * Gives the program a terminal that outlives the connection. What is typed comes by a FIFO that is open for writing too,
 * so that it never ends; the text ($1) comes by a pipe, for a command line shows in the process list. $2: the shell.
 */
const TERMINAL_SCRIPT = `
umask 077
mkfifo "$drillbook_job.type" || exit
export drillbook_job drillbook_shell="$SHELL" SHELL=/bin/sh TERM=dumb
printf %s "$1" | ( exec 4<&0 <>"$drillbook_job.type"; exec script -qec "exec $2 /dev/fd/4" /dev/null )
`;

/** Echo is off before the program starts: what is typed is not shown. */
const onTerminal = (script: string): string => `exec 4<&-
stty -echo rows 50 cols 200
tty >"$drillbook_job.tty"
SHELL=$drillbook_shell
unset drillbook_job drillbook_shell
${script}
`;

/**
 * Types an answer ($4) into a dialogue ($1 its folder, $2 its key) unless that was done before: the claim ($3 its number)
 * holds where in the output the prompt ended ($5, bytes). The program may have switched echo on again itself.
 */
const TYPE_SCRIPT = `
job=$( set -- "$1" look
${FIND_SCRIPT} )/$2
read -r tty <"$job.tty"
stty -echo <"$tty"
set -C
{ true >"$job.answer.$3"; } 2>/dev/null || [ ! -s "$job.answer.$3" ] || exit 0
set +C
printf '%s\\n' "$5" >"$job.answer.$3" && printf '%s\\r' "$4" 1<>"$job.type"
`;

/** Prints where the prompts ended to which an answer was typed already, in order. */
const TYPED_SCRIPT = `
job=$( set -- "$1" look
${FIND_SCRIPT} )/$2
number=0
while [ -s "$job.answer.$number" ] && read -r at <"$job.answer.$number"; do
  echo "$at"
  number=$((number + 1))
done
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

/**
 * Follows what a program shows, and calls `type` for each prompt that no answer was typed to. `typed`: where in the output
 * the others were answered.
 */
function conversation(
  answers: readonly Answer[],
  onText: (text: string) => void,
  type: (number: number, answer: string, at: number) => void,
): {
  take(bytes: Buffer, typed: readonly number[]): void;
  readonly output: string;
  readonly answered: readonly string[];
} {
  const decoder = new StringDecoder('utf8');
  const answered: string[] = [];
  let output = '';
  let pending = '';
  let next = 0;
  let seen = 0;

  /** Prompts are looked for where they were found the first time: later text may end a match on `$`. */
  function converse(typed: readonly number[]): void {
    for (;;) {
      const at = typed[answered.length];
      if (at !== undefined && at !== seen) return;
      const found = find(pending, answers, next);
      const answer = found && answers[found.at]?.answer;
      if (found === undefined || answer === undefined) return;
      pending = pending.slice(found.end);
      next = found.at + 1;
      answered.push(found.shown);
      if (at === undefined) type(answered.length - 1, answer, seen);
    }
  }

  function step(bytes: Buffer, typed: readonly number[]): void {
    const text = decoder.write(bytes).replaceAll('\r', '');
    seen += bytes.length;
    output += text;
    pending += text;
    onText(text);
    converse(typed);
  }
  return {
    take(bytes, typed) {
      let rest = bytes;
      for (const at of typed) {
        if (at <= seen || at - seen >= rest.length) continue;
        const cut = at - seen;
        step(rest.subarray(0, cut), typed);
        rest = rest.subarray(cut);
      }
      step(rest, typed);
    },
    get output() {
      return output;
    },
    answered,
  };
}

/** See `Transport.dialogue`. */
export async function runDialogue(
  session: Session,
  id: JobId,
  command: string,
  answers: readonly Answer[],
  { mode, onOutput, guards, args, env, become, signal }: JobOptions,
): Promise<JobEnd<DialogueResult>> {
  const names = [folderOf(id), id.key];
  let typing: Promise<unknown> = Promise.resolve();
  const type = (number: number, answer: string, at: number): void => {
    const typed = [...names, String(number), answer, String(at)];
    typing = typing
      .then(() => session.exchange(TYPE_SCRIPT, { args: typed, become, lane: 'killer' }))
      .catch(() => undefined);
  };

  /** `isAgain`: answers may have been typed already, by one whose last words are still on their way. */
  async function follow(isAgain: boolean, options: RawOptions): Promise<JobEnd<DialogueResult>> {
    const said = conversation(answers, (text) => onOutput?.(text), type);
    let reading: Promise<unknown> = Promise.resolve();
    const readTyped = async (): Promise<number[]> => {
      const { stdout } = await session.exchange(TYPED_SCRIPT, { args: names, become, lane: 'killer' });
      return stdout.toString().split('\n').filter(Boolean).map(Number);
    };
    const onBytes = (bytes: Buffer): void => {
      if (!isAgain) return said.take(bytes, []);
      // Read after what was shown: what an answer has brought forth is never seen without the answer.
      reading = reading.then(readTyped).then((typed) => said.take(bytes, typed));
      reading.catch(() => undefined);
    };
    const pass = { ...options, onBytes, lane: 'follower' as const };
    const end = jobEnd(session, await attach(session, id, pass, ATTENTIVE));
    await reading;
    await typing;
    if (end.kind === 'absent') return end;
    if (end.kind === 'lost') return { ...end, output: said.output };
    const { code, stderr } = end.result;
    return {
      kind: 'ended',
      result: { code, output: said.output + stderr.toString(), answered: said.answered },
    };
  }
  const followAgain = (): Promise<JobEnd<DialogueResult>> => follow(true, { become, signal });
  if (mode === 'attach') return followAgain();

  if (answers.some(({ answer }) => answer.includes('\0')))
    throw new DrillbookError('step.nul', 'an answer holds a NUL byte, which nobody can type');
  const text = onTerminal(body({ script: command, args, env }));
  const parts = { guards, script: TERMINAL_SCRIPT, args: [text, session.carrier.shell], isFollowed: true };
  let following: Promise<JobEnd<DialogueResult>> | undefined;
  const onBytes = (): void => {
    following ??= follow(false, { become });
    following.catch(() => undefined);
  };
  const begun = await start(session, id, { ...parts, needs: NEEDS }, { become, signal, onBytes });
  if (begun.code === SAYS.taken) return followAgain();
  if (begun.code === SAYS.notBegun) throw notBegun(session, begun);
  // One that nobody could be told of was begun all the same.
  return following ?? followAgain();
}
