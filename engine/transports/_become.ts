import { Unreachable } from '../core/error.ts';
import type { Become } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';
import { quote } from './_frame.ts';

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
      return `exec doas -n -u ${user} ${line}`;
  }
}

/** Watches what is shown before the shell runs, and says when the password is asked for. */
export function promptWatch(become: Become, prompt: string): (shown: string) => 'ask' | 'again' | undefined {
  const pattern = {
    sudo: new RegExp(RegExp.escape(prompt)),
    // su has no option for the text of its prompt, and translates it; it ends in a colon and no newline. What begins
    // with its own name is an error of which the rest is still on its way.
    su: /(?:^|\n)(?!su:)[^\n]*[:：]\s*$/,
    doas: /(?!)/,
  }[become.method];
  let text = '';
  let isAsked = false;
  return (shown) => {
    text += shown;
    if (!pattern.test(text)) return undefined;
    text = '';
    if (isAsked) return 'again';
    isAsked = true;
    return 'ask';
  };
}

const SENTENCES: readonly (readonly [RegExp, string, string])[] = [
  [
    /authentication failure|incorrect password/i,
    'refused the password',
    'check `become: { password }`; it was tried once',
  ],
  [
    /not in the sudoers|not allowed to (execute|run)|not permitted|may not run/i,
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
