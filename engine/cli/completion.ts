import { readdirSync } from 'node:fs';
import { DrillbookError } from '../core/error.ts';
import { suggest } from '../core/nearest.ts';
import { moduleNames } from '../modules/registry.ts';
import { command, type Command } from './_command.ts';

interface Words {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly string[];
  /** What may follow beside options: fixed words, or the runs on this machine. */
  readonly values: readonly string[] | 'runs' | 'files';
}

const GLOBAL = ['--output', '--state', '--no-color', '--verbose', '--help'];
const SHELLS = ['bash', 'zsh', 'fish'];
const OUTPUTS = ['live', 'plain', 'jsonl', 'json'];

const VALUES: Readonly<Record<string, Words['values']>> = {
  modules: [...moduleNames()],
  schema: ['playbook', 'inventory'],
  completion: SHELLS,
  resume: 'runs',
  show: 'runs',
  report: 'runs',
  verify: 'runs',
  lab: ['up', 'down', 'status', 'ssh', 'cut', 'heal', 'power-off', 'power-on'],
  runs: [],
};

async function wordsOf(file: string): Promise<Words> {
  const name = file.slice(0, -'.ts'.length);
  const { default: found } = (await import(`./${file}`)) as { default: Command };
  const options = Object.entries(found.options).map(([option, { short }]) => [
    `--${option}`,
    ...(short ? [`-${short}`] : []),
  ]);
  return {
    name,
    summary: found.summary,
    options: [...options.flat(), ...GLOBAL],
    values: VALUES[name] ?? 'files',
  };
}

const allWords = (): Promise<readonly Words[]> =>
  Promise.all(
    readdirSync(import.meta.dirname)
      .filter((file) => file.endsWith('.ts') && !file.startsWith('_') && file !== 'main.ts')
      .sort()
      .map(wordsOf),
  );

/** Lists run ids by the folder's names alone: no engine is started while someone types. */
const RUNS = 'ls -r "${DRILLBOOK_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/drillbook}/runs" 2>/dev/null';

const bashValues = (values: Words['values']): string => {
  if (values === 'files') return '$(compgen -f -- "$current")';
  return values === 'runs' ? `$(${RUNS})` : values.join(' ');
};

const bash = (all: readonly Words[]): string => `# source <(drillbook completion bash)
_drillbook() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${all.map(({ name }) => name).join(' ')} --version --help" -- "$current"))
    return
  fi
  case $previous in
    --output) COMPREPLY=($(compgen -W "${OUTPUTS.join(' ')}" -- "$current")); return ;;
    -i|--inventory|--state|--out) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case \${COMP_WORDS[1]} in
${all
  .map(
    ({ name, options, values }) =>
      `    ${name}) case $current in -*) words="${options.join(' ')}" ;; *) words="${bashValues(values)}" ;; esac ;;`,
  )
  .join('\n')}
    *) words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -F _drillbook drillbook
`;

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const zshValues = (values: Words['values']): string => {
  if (values === 'files') return '_files';
  return values === 'runs' ? `compadd -- $(${RUNS})` : `compadd -- ${values.join(' ')}`;
};

const zsh = (all: readonly Words[]): string => `#compdef drillbook
# drillbook completion zsh > a folder of $fpath, as _drillbook; or source <(drillbook completion zsh)
_drillbook() {
  local -a commands
  commands=(
${all.map(({ name, summary }) => `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  case $words[CURRENT-1] in
    --output) compadd -- ${OUTPUTS.join(' ')}; return ;;
    -i|--inventory|--state|--out) _files; return ;;
  esac
  case $words[2] in
${all
  .map(
    ({ name, options, values }) =>
      `    ${name}) if [[ $PREFIX == -* ]]; then compadd -- ${options.join(' ')}; else ${zshValues(values)}; fi ;;`,
  )
  .join('\n')}
  esac
}
if [ "$funcstack[1]" = _drillbook ]; then _drillbook "$@"; else compdef _drillbook drillbook; fi
`;

const fishValues = (values: Words['values']): string => {
  if (values === 'files') return '-F';
  return values === 'runs'
    ? `-f -a ${quoted(`(sh -c ${quoted(RUNS)})`)}`
    : `-f -a ${quoted(values.join(' '))}`;
};

const fish = (
  all: readonly Words[],
): string => `# drillbook completion fish > ~/.config/fish/completions/drillbook.fish
complete -c drillbook -n __fish_use_subcommand -f
${all
  .map(({ name, summary, options, values }) => {
    const when = `-n ${quoted(`__fish_seen_subcommand_from ${name}`)}`;
    const long = options
      .filter((option) => option.startsWith('--'))
      .map((option) => `complete -c drillbook ${when} -l ${option.slice(2)}`);
    return [
      `complete -c drillbook -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
      `complete -c drillbook ${when} ${fishValues(values)}`,
      ...long,
    ].join('\n');
  })
  .join('\n')}
complete -c drillbook -l output -x -a ${quoted(OUTPUTS.join(' '))}
`;

const WRITERS: Readonly<Record<string, (all: readonly Words[]) => string>> = { bash, zsh, fish };

export default command({
  summary: 'print the completion script of a shell',
  usage: 'bash|zsh|fish',
  options: {},
  help: {},
  async run({ positionals: [shell = ''] }) {
    const writer = WRITERS[shell];
    if (writer === undefined) {
      throw new DrillbookError('usage.completion', `completion wants one of ${SHELLS.join(', ')}`, {
        hint: suggest(shell, SHELLS),
      });
    }
    process.stdout.write(writer(await allWords()));
    return 0;
  },
});
