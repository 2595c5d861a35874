/** What the command line asks for. */
export interface Asked {
  readonly limit?: string;
  readonly tags?: readonly string[];
  readonly skipTags?: readonly string[];
  readonly startAt?: string;
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly isCheck?: boolean;
}

/** The same small playbook twice, and what they may differ in. */
export interface Pair {
  readonly name: string;
  /**
   * The tasks of one play on the group `pair` (hosts a and b), or a whole playbook where it has `plays:` or begins with
   * `- hosts:`. `MARK word` in a command leaves a trace on the node: `word@NODE`, with what else is given after it.
   * `FOLDER` is a folder on the node that each engine has for itself.
   */
  readonly ours: string;
  /** Left out where Ansible reads the very same text. */
  readonly theirs?: string;
  /** Ansible's own `shell`, where `raw` would not do. */
  readonly isShell?: boolean;
  /** Files beside the playbook, for both. */
  readonly files?: Readonly<Record<string, string>>;
  readonly theirFiles?: Readonly<Record<string, string>>;
  readonly asked?: Asked;
  /** With the host `gone`, which nobody can reach. */
  readonly hasGone?: boolean;
  /** A wanted difference: its key in docs/ansible.md, and what theirs (-) and ours (+) say, in order. */
  readonly differs?: { readonly key: string; readonly lines: readonly string[] };
}

/** One line for each thing that happened: `TASK@HOST OUTCOME`, `ran TRACE`, `forgiven HOST N`, `exit CLASS`. */
export type Story = readonly string[];

export interface Happened {
  readonly task: string;
  readonly host: string;
  readonly outcome: string;
  readonly item?: unknown;
}

/** An item that is a mapping goes by its own `item` or `key`: what else is in it is each engine's own. */
function labelOf(item: unknown): string {
  // Left out, or hidden by no_log.
  if (item === undefined || item === null) return '';
  const { item: inner, key } = (typeof item === 'object' ? item : {}) as { item?: unknown; key?: unknown };
  return ` ${JSON.stringify(inner ?? key ?? item)}`;
}

const lineOf = ({ task, host, outcome, item }: Happened): string =>
  `${task}@${host}${labelOf(item)} ${outcome}`;

/** The same lines, those of one task that follow one another sorted: hosts go side by side. */
function steady(lines: readonly string[], compare: (a: string, b: string) => number): string[] {
  const taskOf = (line: string | undefined): string | undefined => line?.split('@')[0];
  const sorted: string[] = [];
  for (let from = 0, to = 0; from < lines.length; from = to) {
    while (to < lines.length && taskOf(lines[to]) === taskOf(lines[from])) to++;
    sorted.push(...lines.slice(from, to).toSorted(compare));
  }
  return sorted;
}

const inText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const hostOf = (line: string): string => /@(\S+)/.exec(line)?.[1] ?? '';
/** Each host's own order stays, that of its items. */
const byHost = (a: string, b: string): number => inText(hostOf(a), hostOf(b));

export const storyOf = (
  happened: readonly Happened[],
  trace: readonly string[],
  forgiven: Readonly<Record<string, number>>,
  exit: string,
): Story => [
  ...steady(happened.map(lineOf), byHost),
  // A node may have run it for several hosts.
  ...steady(
    trace.map((line) => `ran ${line}`),
    inText,
  ),
  ...Object.entries(forgiven)
    .map(([host, count]) => `forgiven ${host} ${count}`)
    .toSorted(),
  `exit ${exit}`,
];

/** What only the first story says (-) and what only the second says (+), in order: a longest common subsequence. */
export function difference(theirs: Story, ours: Story): string[] {
  const length = Array.from({ length: theirs.length + 1 }, () => new Array<number>(ours.length + 1).fill(0));
  const at = (i: number, j: number): number => length[i]?.[j] ?? 0;
  for (let i = theirs.length - 1; i >= 0; i--) {
    for (let j = ours.length - 1; j >= 0; j--) {
      const row = length[i] ?? [];
      row[j] = theirs[i] === ours[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < theirs.length || j < ours.length) {
    if (i < theirs.length && j < ours.length && theirs[i] === ours[j]) {
      i++;
      j++;
    } else if (j >= ours.length || (i < theirs.length && at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`- ${theirs[i++]}`);
    } else lines.push(`+ ${ours[j++]}`);
  }
  return lines;
}
