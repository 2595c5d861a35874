import { randomBytes } from 'node:crypto';
import { DrillbookError } from '../core/error.ts';
import type { Guard } from '../core/host.ts';

/** A text that no output holds by accident. */
export const newMarker = (): string => `drillbook-${randomBytes(12).toString('hex')}-`;

/** One word of shell, whatever is in it (POSIX 2.2.2: nothing is special between single quotes). */
export const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

export interface Script {
  readonly guards?: readonly Guard[] | undefined;
  readonly script: string;
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Shell text after the guards and before all else; an `exit` in it keeps the script from running. */
  readonly claim?: string | undefined;
}

function refuseNul(what: string, text: string): void {
  if (!text.includes('\0')) return;
  throw new DrillbookError('step.nul', `${what} holds a NUL byte, which no command line can carry`, {
    hint: 'pass it on standard input or put it into a file',
  });
}

/** What a guard says on standard error before its reason; ours alone in an exchange. */
export const refusalMark = (marker: string, code: Guard['code']): string =>
  `${marker.replace('drillbook', 'refused')}${code}:`;
/** The exit code of a script that a guard kept from running. */
export const REFUSED = 77;

const guardText = ({ code, script, args }: Guard, marker: string): string =>
  `set -- ${args.map(quote).join(' ')}
refused=
eval ${quote(script)}
if [ -n "$refused" ]; then printf '%s%s' '${refusalMark(marker, code)}' "$refused" >&2; exit ${REFUSED}; fi`;

/** The script with its guards, arguments and environment, as text for a shell that may be spoilt by it. */
export function body({ guards = [], script, args = [], env = {}, claim }: Script, marker = ''): string {
  refuseNul('the script', script);
  const lines = guards.map((guard) => guardText(guard, marker));
  if (lines.length > 0) lines.push('unset refused');
  if (claim !== undefined) lines.push(claim);
  lines.push(`set -- ${args.map(quote).join(' ')}`);
  for (const [i, arg] of args.entries()) refuseNul(`argument ${i + 1}`, arg);
  for (const [name, value] of Object.entries(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new DrillbookError('step.env', `\`${name}\` is not a name for an environment variable`, {
        hint: 'letters, digits and underscores, no digit first',
      });
    }
    refuseNul(`environment variable ${name}`, value);
    lines.push(`export ${name}=${quote(value)}`);
  }
  // A syntax error inside `eval` ends the subshell only; written out it would end the persistent shell.
  lines.push(`eval ${quote(script)}`);
  return lines.join('\n');
}

const tail = (marker: string): string => `printf '${marker}%d\\n' $?; printf '${marker}' >&2`;

/** What a persistent shell reads for one exchange: `exit`, `cd`, `set`, traps end with the subshell. */
export function frame(script: Script, stdin: string, marker: string): string {
  const inner = `(\n${body(script, marker)}\n)`;
  // A pipe and not a here-document: bash may put the latter on disk, and it always adds a newline.
  const outer = stdin === '' ? `${inner} </dev/null` : `printf %s ${quote(stdin)} | ${inner}`;
  return `${outer}\n${tail(marker)}\n`;
}

/**
 * The same for an input of any size and any byte: `bytes` of it follow once `ready` was shown, for some shells read
 * ahead. What the script leaves unread is drained, and if `head` ends early the shell goes: never may input be taken
 * for commands.
 */
export const rawFrame = (script: Script, bytes: number, marker: string, ready: string): string =>
  `{ printf '${ready}\\n'; { head -c ${bytes} || kill -9 $$; } | ( (\n${body(script, marker)}\n); set -- $?; cat >/dev/null; exit $1 )\n${tail(marker)}; }\n`;

/** Passes a stream's bytes on until a marker comes, however it is cut into pieces. */
export interface Cutter {
  /** Takes a piece; returns what follows the marker once it has come, else undefined. */
  push(piece: Buffer): Buffer | undefined;
}

export function cutter(marker: string, pass: (bytes: Buffer) => void): Cutter {
  const wanted = Buffer.from(marker);
  let held: Buffer = Buffer.alloc(0);
  return {
    push(piece) {
      const data = held.length === 0 ? piece : Buffer.concat([held, piece]);
      const at = data.indexOf(wanted);
      if (at >= 0) {
        if (at > 0) pass(data.subarray(0, at));
        return data.subarray(at + wanted.length);
      }
      let keep = Math.min(wanted.length - 1, data.length);
      while (keep > 0 && !data.subarray(data.length - keep).equals(wanted.subarray(0, keep))) keep--;
      if (data.length > keep) pass(data.subarray(0, data.length - keep));
      held = data.subarray(data.length - keep);
      return undefined;
    },
  };
}
