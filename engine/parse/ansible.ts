/** What Ansible's words are called here, for who comes from there; only those that are called otherwise. */
const WORDS: Readonly<Record<string, string>> = {
  apt: '`package`',
  yum: '`package`',
  dnf: '`package`',
  zypper: '`package`',
  systemd: '`service`',
  systemd_service: '`service`',
  lineinfile: '`line_in_file`',
  blockinfile: '`block_in_file`',
  set_fact: '`set`',
  setup: '`facts`',
  ping: '`facts`',
  raw: '`shell`',
  expect: '`dialogue`',
  reboot: '`power`',
  wait_for_connection: '`wait_for`',
  stat: '`command` with `register`',
  find: '`command` with `register`',
  slurp: '`command` with `register`',
  authorized_key: '`ssh_trust`',
  known_hosts: '`ssh_trust`',
  meta: '`flush: handlers`',
  import_tasks: '`include`',
  include_tasks: '`include`',
  import_role: '`include`',
  include_role: '`include`',
  roles: '`include` in `tasks`',
  pre_tasks: '`tasks`',
  post_tasks: '`tasks`',
  mysql_db: '`mysql.database`',
  mysql_user: '`mysql.account`',
  mysql_query: '`mysql.query` or `mysql.execute`',
  mysql_variables: '`mysql.variables`',
  mysql_replication: '`mysql.replication`',
  loop_control: '`label`, beside `loop`; the index is `index`, the item `item`',
  gather_facts: '`gather`',
  gather_subset: '`gather: [WHAT, …]`',
  gather_timeout: '`gather: [WHAT, …]`',
  fact_path: '`gather: [WHAT, …]`',
  include_vars: '`vars_files` of the playbook',
  import_playbook: '`include: FILE` among the plays',
  force_handlers: '`undo`, or `always` of a block',
  ignore_unreachable: '`ignore_errors`',
  diff: '`--diff` of the command line',
  connection: '`connection: { transport: … }` of the inventory',
  port: '`connection: { port: … }` of the inventory',
  throttle: '`serial` of the play, or `--forks`',
  become_user: '`become: { user: … }`',
  become_method: '`become: { method: … }`',
  remote_user: '`connection: { user: … }` of the inventory',
  max_fail_percentage: '`max_failures`',
  vars_prompt: '`inputs` of the playbook',
  args: 'parameters of the module itself',
  ansible_host: '`connection: { address: … }`',
  ansible_port: '`connection: { port: … }`',
  ansible_user: '`connection: { user: … }`',
  ansible_ssh_private_key_file: '`connection: { identity_file: … }`',
};

const VARIABLES: Readonly<Record<string, string>> = {
  inventory_hostname: '`host.name`',
  ansible_host: '`host.address`',
  ansible_check_mode: '`run.is_check`',
  hostvars: '`hosts.NAME`',
  group_names: '`host.groups`',
  ansible_failed_task: '`failure.task`, in `rescue`,',
  ansible_failed_result: '`failure.result`, in `rescue`,',
  ansible_loop: '`index`, beside `item`,',
  ansible_index_var: '`index`',
};

const AS_JOB = 'not needed: every action is a job that outlives the connection; `timeout` bounds it';

/** What takes a sentence of its own: there is no one word for it here. */
const SENTENCES: Readonly<Record<string, string>> = {
  action: 'write the module itself as a key, such as `command:`',
  local_action: 'write the module itself as a key, with `delegate_to: localhost`',
  async: AS_JOB,
  poll: AS_JOB,
  pause: '`confirm` of the playbook asks the operator; `wait_for` waits',
  debugger: '`--step` asks before each step; after a failure `drillbook resume` goes on',
  strategy: 'there are no strategies: each task ends on all hosts before the next begins',
  collections: 'there are no collections: all modules are built in',
  module_defaults: 'there are no defaults for modules: use a YAML anchor',
  delegate_facts: 'facts are always those of the host they were gathered for',
  become_exe: 'the program follows from the method: `become: { method: sudo }`',
  become_flags: 'the flags follow from the method: `become: { method: sudo }`',
};

const sentence = (word: string, here: string | undefined): string | undefined =>
  here === undefined ? undefined : `Ansible's \`${word}\` is ${here} here`;

const COLLECTION = /^(?:ansible|community)\.\w+\./;

/** The hint for a module or keyword of Ansible's that drillbook does not know; `modules` are those it knows. */
export function ansibleHint(word: string, modules: readonly string[] = []): string | undefined {
  const bare = word.replace(COLLECTION, '');
  if (bare !== word && modules.includes(bare)) return `write \`${bare}\`: there are no collections here`;
  if (bare.startsWith('with_')) return sentence(bare, '`loop`');
  if (Object.hasOwn(SENTENCES, bare)) return SENTENCES[bare];
  return sentence(bare, Object.hasOwn(WORDS, bare) ? WORDS[bare] : undefined);
}

/** The same for a variable. */
export function ansibleVariableHint(name: string): string | undefined {
  const fact = name.startsWith('ansible_') ? 'in `facts`' : undefined;
  return sentence(name, Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : fact);
}

/** For a template that does not parse. */
export const jinjaHint = (text: string): string | undefined =>
  /\{\{[^{}|]{0,200}\|[^{}]{0,200}\}\}/.test(text)
    ? 'templates are Handlebars, not Jinja: a helper comes first, as in {{default x "y"}}'
    : undefined;

/** For a condition that does not parse. */
export const conditionHint = (text: string): string | undefined =>
  text.includes('{{')
    ? 'conditions are written without {{ }}'
    : /\b(?:and|or|not|is)\b|\|/.test(text)
      ? 'conditions are CEL, not Jinja: `&&`, `||`, `!`, and `has(x.y)` for `x.y is defined`'
      : undefined;
