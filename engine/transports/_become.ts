import { Unreachable } from '../core/error.ts';
import type { Become } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';
import { quote } from './_frame.ts';

/**
 * doas with a password, which it reads from a terminal alone: it gets one for that, while the shell behind it keeps the
 * connection's own input and output and is in a session without one. What the terminal shows goes to standard error; the
 * first line of input is typed there, once it shows something: before that doas would throw it away.
 */
const doasOnTerminal = (user: string, line: string): string => `
if doas -n -u ${user} true 2>/dev/null; then exec doas -n -u ${user} ${line}; fi
command -v script >/dev/null && command -v setsid >/dev/null || { echo 'doas: a password needs script and setsid (util-linux) there' >&2; exit 1; }
umask 077
drillbook_tty=$(mktemp -d) && mkfifo "$drillbook_tty/in" "$drillbook_tty/out" || exit
exec 3<&0 4>&1 5>&2
{
  exec 6>"$drillbook_tty/in" 7<"$drillbook_tty/out"
  rm -rf "$drillbook_tty"
  first=$(dd bs=1 count=1 <&7 2>/dev/null; echo .)
  [ "$first" != . ] || exit
  printf %s "\${first%.}" >&5
  cat <&7 >&5 &
  IFS= read -r drillbook_typed <&3 && printf '%s\\n' "$drillbook_typed" >&6
  wait
} &
SHELL=/bin/sh script -qec ${quote(`exec doas -u ${user} setsid -w ${line} <&3 >&4 2>&5`)} /dev/null <"$drillbook_tty/in" >"$drillbook_tty/out"
`;

/** The command line that runs `command` (a line for sh) as another user; the password comes by standard input. */
export function becomeCommand(
  become: Become | undefined,
  shell: string,
  command: string,
  prompt: string,
): string {
  const line = `${shell} -c ${quote(command)}`;
  if (become === undefined) return `exec ${line}`;
  const user = quote(become.user);
  switch (become.method) {
    case 'sudo':
      return `exec sudo -S -H -p ${quote(prompt)} -u ${user} -- ${line}`;
    case 'su':
      return `exec su -s /bin/sh ${user} -c ${quote(`exec ${line}`)}`;
    case 'doas':
      // doas reads a password from a terminal only: without one it must not wait for it.
      return become.password === undefined ? `exec doas -n -u ${user} ${line}` : doasOnTerminal(user, line);
  }
}

/** A line that is not ended and looks like a question; one that begins with the program's own name is an error on its way. */
const QUESTION = /(?:^|[\n\r])(?!(?:sudo|su|doas):)[^\n\r]*[:：] ?$/;

/** Watches what is shown before the shell runs, and says when the password is asked for. */
export function promptWatch(become: Become, prompt: string): (shown: string) => 'ask' | 'again' | undefined {
  const own = become.method === 'sudo' ? prompt : undefined;
  let text = '';
  /** What was answered: sudo's prompt as we want it, or another one (PAM may have its own, in its own language). */
  let answered: 'own' | 'other' | undefined;
  return (shown) => {
    text += shown;
    const isOwn = own !== undefined && text.includes(own);
    if (!isOwn && !QUESTION.test(text)) return undefined;
    text = '';
    const before = answered;
    answered = isOwn ? 'own' : 'other';
    // Taken for a question, and sudo had not asked yet: it reads then what it was told before.
    if (before === 'other' && isOwn) return undefined;
    return before === undefined ? 'ask' : 'again';
  };
}

const SENTENCES: readonly (readonly [RegExp, string, string])[] = [
  [
    /authentication fail(?:ure|ed)|incorrect password/i,
    'refused the password',
    'check `become: { password }`; it was tried once',
  ],
  [
    /not in the sudoers|not allowed to (execute|run)|not permitted|operation not permitted|may not run/i,
    'is not allowed to',
    'ask for a rule in sudoers or doas.conf',
  ],
  [
    /password is required|Authentication required|no password/i,
    'needs a password',
    'set `become: { password: !secret … }`',
  ],
  [/must have a tty|requiretty|tty is required/i, 'needs a terminal', 'take `requiretty` out of sudoers'],
  [/unknown user|does not exist|no such user/i, 'finds no such user', 'check `become: { user }`'],
  [/not found|No such file/i, 'is not installed', 'install it, or choose another `become: { method }`'],
];

/** Why becoming another user failed, in one sentence. */
export function becomeFailure(host: string, become: Become, shown: string, redactor: Redactor): Unreachable {
  const said = redactor.text(shown.trim().split('\n').slice(-3).join(' · ').slice(-300));
  const known = SENTENCES.find(([pattern]) => pattern.test(shown));
  const what = known === undefined ? 'did not start a shell' : known[1];
  const message = `${become.method} on ${host} ${what}: cannot become ${become.user}${said === '' ? '' : ` (${said})`}`;
  return new Unreachable(host, 'become', message, { hint: known?.[2] });
}

export const passwordMissing = (host: string, become: Become): Unreachable =>
  new Unreachable(
    host,
    'become',
    `${become.method} on ${host} asks for a password to become ${become.user}, and none is given`,
    {
      hint: 'set `become: { password: !secret … }`',
    },
  );

export const passwordRefused = (host: string, become: Become): Unreachable =>
  new Unreachable(
    host,
    'become',
    `${become.method} on ${host} refused the password to become ${become.user}`,
    {
      hint: 'check `become: { password }`; it was tried once',
    },
  );

export const becomeTooLate = (host: string, become: Become): Unreachable =>
  new Unreachable(
    host,
    'become',
    `${become.method} on ${host} neither let us become ${become.user} nor refused`,
    {
      hint: `try it by hand: ${become.method} as ${become.user}`,
    },
  );
