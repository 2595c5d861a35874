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

const IN_INVENTORY = 'it stands in the inventory, under `connection` and `become`';
const IN_PLAN = '`drillbook plan PLAYBOOK -i INVENTORY` lists steps, hosts and tags';

/** Where to find what an option of ansible-playbook does. */
export const OF_ANSIBLE: Readonly<Record<string, string>> = {
  '--list-tasks': IN_PLAN,
  '--list-hosts': IN_PLAN,
  '--list-tags': IN_PLAN,
  '--syntax-check': '`drillbook lint PLAYBOOK -i INVENTORY` checks it',
  '--start-at-task': 'did you mean `--start-at`?',
  '--extra-vars': 'did you mean `--extra` (-e)?',
  '--inventory-file': 'did you mean `--inventory` (-i)?',
  '--user': IN_INVENTORY,
  '--private-key': IN_INVENTORY,
  '--connection': IN_INVENTORY,
  '--become': '`become: true` in the play, or `become` in the inventory',
  '--become-user': '`become: { user: … }` in the play, or `become` in the inventory',
};
