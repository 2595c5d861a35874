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
  fail: '`assert`, with the condition that must hold',
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
  loop_control: '`label`, beside `loop`',
  gather_facts: '`gather`',
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
};

const sentence = (word: string, here: string | undefined): string | undefined =>
  here === undefined ? undefined : `Ansible's \`${word}\` is ${here} here`;

const COLLECTION = /^(?:ansible|community)\.\w+\./;

/** The hint for a module or keyword of Ansible's that drillbook does not know; `modules` are those it knows. */
export function ansibleHint(word: string, modules: readonly string[] = []): string | undefined {
  const bare = word.replace(COLLECTION, '');
  if (bare !== word && modules.includes(bare)) return `write \`${bare}\`: there are no collections here`;
  if (bare.startsWith('with_')) return sentence(bare, '`loop`');
  return sentence(bare, Object.hasOwn(WORDS, bare) ? WORDS[bare] : undefined);
}

/** The same for a variable. */
export function ansibleVariableHint(name: string): string | undefined {
  const fact = name.startsWith('ansible_') ? 'in `facts`' : undefined;
  return sentence(name, Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : fact);
}

/** For a template that does not parse. */
export const jinjaHint = (text: string): string | undefined =>
  /\{\{[^{}]*\|[^{}]*\}\}/.test(text)
    ? 'templates are Handlebars, not Jinja: a helper comes first, as in {{default x "y"}}'
    : undefined;

/** For a condition that does not parse. */
export const conditionHint = (text: string): string | undefined =>
  text.includes('{{')
    ? 'conditions are written without {{ }}'
    : /\b(?:and|or|not|is)\b|\|/.test(text)
      ? 'conditions are CEL, not Jinja: `&&`, `||`, `!`, and `has(x.y)` for `x.y is defined`'
      : undefined;
