"""Stand-in for DBackup: questions on a terminal or a pipe."""
import os
import sys
import termios


def ask(prompt, default=''):
    """The answer, or the default for an empty one; end of input counts as empty."""
    print(prompt, end='', flush=True)
    return sys.stdin.readline().strip() or default


def ask_secret(prompt):
    """The same without echo, where there is a terminal."""
    if not sys.stdin.isatty():
        return ask(prompt)
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    silent = before[:]
    silent[3] &= ~termios.ECHO
    # Echo goes off before the prompt shows: whoever answers at once must find it off.
    termios.tcsetattr(descriptor, termios.TCSANOW, silent)
    try:
        return ask(prompt)
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
        print()


def agree(question):
    """`question[y/N]: `, where anything but y is no."""
    return ask(f'{question}[y/N]: ').lower() in ('y', 'yes')


def offer_restart(name):
    """Asks as the product does, and restarts the service unless told not to."""
    if ask(f'Do you want to restart {name}? [Y]: ', 'Y').lower() in ('y', 'yes'):
        sys.stdout.flush()
        os.execvp('systemctl', ['systemctl', 'restart', f'dbackup3-{name}.service'])
