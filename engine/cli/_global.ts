/** What every command takes beside its own options. */
export const GLOBAL = {
  output: { type: 'string' },
  state: { type: 'string' },
  'no-color': { type: 'boolean' },
  verbose: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
} as const;

export const GLOBAL_HELP: Readonly<Record<string, string>> = {
  output: 'live, plain, jsonl or json; live on a terminal, plain otherwise',
  state: 'folder of runs and labs (DRILLBOOK_STATE; the XDG state folder)',
  'no-color': 'no colours (as NO_COLOR)',
  verbose: 'say more',
  help: 'this help',
};
