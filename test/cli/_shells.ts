import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../engine/cli/drillbook.js');

/** A folder in which somebody types: the program on the path, a playbook, an inventory, runs. */
export interface Desk {
  readonly dir: string;
  /** What a real shell offers for each of these lines, sorted. */
  offered(shell: 'bash' | 'zsh' | 'fish', lines: readonly string[]): readonly (readonly string[])[];
}

const BASH = `
eval "$(drillbook completion bash)"
for COMP_LINE; do
  COMP_POINT=\${#COMP_LINE}
  _drillbook drillbook
  printf '%s\\n' "\${COMPREPLY[@]}" :end
done`;

const FISH = `
drillbook completion fish | source
for line in $argv
  complete -C $line | string replace -r '\\t.*' ''
  echo :end
end`;

// A zsh at a terminal of its own, since it completes nowhere else; what its completion adds is written down.
const ZSH = `
zmodload zsh/zpty
waitfor() { while [[ ! -e $DESK/$1 ]] { zpty -r -t inner > /dev/null || sleep 0.02 } }
zpty inner zsh -f -i
zpty -w inner "source $DESK/inner.zsh"
waitfor ready
for line; do
  rm -f $DESK/done $DESK/hits
  zpty -w -n inner $'\\x15'"$line"$'\\t'
  waitfor done
  cat $DESK/hits
  print :end
done
zpty -d inner`;

const INNER_ZSH = `
PROMPT=; unset zle_bracketed_paste
autoload -Uz compinit; compinit -u -d $DESK/dump
source <(drillbook completion zsh)
compadd() {
  local -a hits
  builtin compadd -A hits "$@"
  print -l -- $hits >> $DESK/hits
  builtin compadd "$@"
}
# It is forgotten after each completion.
finish() { : >> $DESK/hits; comppostfuncs=(finish); : > $DESK/done }
comppostfuncs=(finish)
: > $DESK/ready
`;

export function desk(files: Readonly<Record<string, string>>, runs: readonly string[] = []): Desk {
  const dir = mkdtempSync(join(tmpdir(), 'drillbook-shells-'));
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'drillbook'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
  chmodSync(join(bin, 'drillbook'), 0o755);
  for (const run of runs) mkdirSync(join(dir, 'state', 'runs', run), { recursive: true });
  const work = join(dir, 'work');
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(work, name, '..'), { recursive: true });
    writeFileSync(join(work, name), text);
  }
  const run = (program: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): string =>
    execFileSync(program, args, {
      cwd: work,
      encoding: 'utf8',
      timeout: 120_000,
      env: {
        ...process.env,
        ...more,
        PATH: `${bin}:${process.env['PATH']}`,
        HOME: dir,
        DRILLBOOK_STATE: join(dir, 'state'),
        TERM: 'xterm',
        LC_ALL: 'C.UTF-8',
      },
    });
  return {
    dir,
    offered(shell, lines) {
      const DESK = mkdtempSync(join(dir, 'zsh-'));
      writeFileSync(join(DESK, 'inner.zsh'), INNER_ZSH);
      const said =
        shell === 'bash'
          ? run('bash', ['--norc', '-c', BASH, 'bash', ...lines])
          : shell === 'fish'
            ? run('fish', ['--no-config', '-c', FISH, ...lines])
            : run('zsh', ['-f', '-c', ZSH, 'zsh', ...lines], { DESK });
      return said
        .split(':end\n')
        .slice(0, -1)
        .map((part) => [...new Set(part.split('\n').filter(Boolean))].sort());
    },
  };
}
