import { readdirSync } from 'node:fs';
import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { command, type Command } from './_command.ts';
import { complete } from './_complete.ts';
import { GLOBAL, GLOBAL_HELP } from './_global.ts';
import type { Offer } from './_offers.ts';

// Each script asks `drillbook completion SHELL -- WORDS…` what may stand at the cursor. The answer is a word a line,
// behind a tab what it is; `:files ENDING…` means that the shell is to offer files.

/** Bash puts in only what is behind the last of its word breaks. */
const BASH = `# source <(drillbook completion bash)
_drillbook() {
  local line=\${COMP_LINE:0:COMP_POINT} current before word about ending
  local -a words
  read -ra words <<< "$line"
  case $line in *[[:space:]]) words+=('') ;; esac
  current=\${words[\${#words[@]}-1]}
  before=\${current%"\${current##*[=:@]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r word about; do
    case $word in
      :files*)
        compopt -o filenames 2>/dev/null
        for ending in \${word#:files }; do
          case $ending in
            /) ;;
            \\*|@) while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "\${current#"$before"}") ;;
            *) while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -X "!*.$ending" -- "\${current#"$before"}") ;;
          esac
        done
        case $ending in
          \\*|@) ;;
          *) while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -d -- "\${current#"$before"}") ;;
        esac ;;
      *=) compopt -o nospace 2>/dev/null; COMPREPLY+=("\${word#"$before"}") ;;
      ?*) COMPREPLY+=("\${word#"$before"}") ;;
    esac
  done < <("$1" completion bash -- "\${words[@]:1}" 2>/dev/null)
}
complete -o nosort -F _drillbook drillbook 2>/dev/null || complete -F _drillbook drillbook
`;

const ZSH = `#compdef drillbook
# drillbook completion zsh > a folder of $fpath, as _drillbook; or source <(drillbook completion zsh)
_drillbook() {
  local line word about
  local -a given offered open
  given=("\${(@Q)words[2,CURRENT]}")
  given[-1]=\${(Q)PREFIX}
  for line in "\${(@f)$("\${(Q)words[1]}" completion zsh -- "\${given[@]}" 2>/dev/null)}"; do
    word=\${line%%$'\\t'*}
    about=\${line#*$'\\t'}
    case $word in
      '') ;;
      ':files /') _files -/ ;;
      ':files *') _files ;;
      ':files @') compset -P '@' && _files ;;
      :files*) _files -g "*.(\${\${word#:files }// /|})(-.)" ;;
      *=) open+=("$word") ;;
      *) offered+=("\${word//:/\\\\:}:$about") ;;
    esac
  done
  (( $#offered )) && _describe -V drillbook offered
  (( $#open )) && compadd -S '' -- $open
}
if [ "$funcstack[1]" = _drillbook ]; then _drillbook "$@"; else compdef _drillbook drillbook; fi
`;

const FISH = `# drillbook completion fish > ~/.config/fish/completions/drillbook.fish
function __drillbook_offers
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l program $words[1]
  set -e words[1]
  for line in (command $program completion fish -- $words "$current" 2>/dev/null)
    switch $line
      case ':files /'
        __fish_complete_directories "$current"
      case ':files \\*'
        __fish_complete_path "$current"
      case ':files @'
        __fish_complete_path (string sub -s 2 -- "$current") | string replace -r '^' '@'
      case ':files*'
        set -l endings (string join '|' (string split ' ' -- (string sub -s 8 -- $line)))
        __fish_complete_path "$current" | string match -r --entire "(?:/|\\\\.(?:$endings))(?:\\t|\\$)"
      case '*'
        printf '%s\\n' $line
    end
  end
end
complete -c drillbook -f -k -a '(__drillbook_offers)'
`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
const SHELLS = Object.keys(SCRIPTS);

async function commands(words: readonly string[]): Promise<ReadonlyMap<string, Command>> {
  const names = readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.ts') && !file.startsWith('_') && file !== 'main.ts')
    .map((file) => file.slice(0, -'.ts'.length))
    .sort();
  // One is enough behind its name, and quicker: somebody waits at the keyboard.
  const wanted = words.length > 1 ? names.filter((name) => name === words[0]) : names;
  const load = async (name: string): Promise<Command> =>
    ((await import(`./${name}.ts`)) as { default: Command }).default;
  return new Map(await Promise.all(wanted.map(async (name) => [name, await load(name)] as const)));
}

function linesOf({ words, files }: Offer, current: string): string {
  const fitting = words.filter(([word]) => word.startsWith(current));
  const lines = fitting.map(([word, about]) =>
    about === '' ? word : `${word}\t${about.replace(/\s+/g, ' ')}`,
  );
  return [...lines, ...(files ? [`:files ${files.join(' ')}`] : [])].map((line) => `${line}\n`).join('');
}

export default command({
  summary: 'print the completion script of a shell',
  usage: 'bash|zsh|fish',
  options: {},
  help: {},
  async run({ positionals: [shell = '', ...words], stateDir }) {
    const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
    if (script === undefined) {
      throw new DrillbookError('usage.completion', `completion wants one of ${SHELLS.join(', ')}`, {
        hint: suggest(shell, SHELLS),
      });
    }
    if (words.length === 0) process.stdout.write(script);
    else {
      const global = { options: GLOBAL, help: GLOBAL_HELP };
      const offer = await complete(words, await commands(words), global, stateDir);
      process.stdout.write(linesOf(offer, words.at(-1) ?? ''));
    }
    return 0;
  },
});
