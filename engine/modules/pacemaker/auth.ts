import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { lastWords, linesOf } from '../_sh.ts';

const params = z.strictObject({
  nodes: z
    .record(z.string().regex(/^[\w.-]+$/, 'a node’s name'), z.string().regex(/^[\w.:-]+$/, 'an address'))
    .describe('Node → address under which its pcsd is reached'),
  username: z
    .string()
    .regex(/^[a-z_][\w-]*$/, 'a user’s name')
    .default('hacluster')
    .describe('Account of pcsd on the nodes'),
  password: z.string().min(1).describe('Its password').meta({ secret: true }),
});
type Params = z.output<typeof params>;

/** Prints `NODE ADDRESS` of those that pcs has a token for; the tokens stay where they are. */
const KNOWN = `python3 -c '
import json
try:
    with open("/var/lib/pcsd/known-hosts") as file: hosts = json.load(file)["known_hosts"]
except FileNotFoundError: hosts = {}
for name, host in hosts.items():
    print(name, *[one["addr"] for one in host["dest_list"][:1]])
'`;
const ONLINE = 'pcs pcsd status "$@" 2>&1';

async function check(ctx: Context, { nodes }: Params): Promise<Checked> {
  const [known, seen] = await Promise.all([
    ctx.sh(KNOWN, { isLook: true }),
    ctx.sh(ONLINE, { args: Object.keys(nodes), isLook: true }),
  ]);
  const addresses = new Map(linesOf(known.stdout).map((line) => line.split(' ') as [string, string]));
  // `  NAME: Online`, and `Unable to authenticate` or `Offline` for others (pcs(8), pcsd status).
  const online = new Set([...seen.stdout.matchAll(/^\s*(\S+): Online\s*$/gm)].map(([, name]) => name));
  const off = Object.entries(nodes).filter(
    ([name, address]) => addresses.get(name) !== address || !online.has(name),
  );
  return {
    result: { nodes: Object.keys(nodes) },
    changes: off.map(([name, address]) => ({
      what: `pcs on ${ctx.host.name} and the pcsd of ${name}`,
      before: addresses.has(name) ? `knows it as ${addresses.get(name) ?? ''}` : 'strangers',
      after: `known as ${address}`,
    })),
  };
}

export default state({
  summary: 'pcs on this node may command the pcsd of the nodes (pcs host auth)',
  source: 'pcs(8)',
  params,
  examples: `
- name: pcs knows all nodes
  pacemaker.auth:
    nodes: { ha-node01: 10.0.0.1, ha-node02: 10.0.0.2 }
    password: '{{hacluster_password}}'
`,
  returns: { nodes: z.array(z.string()).describe('Nodes that pcs is to know') },
  check,
  async apply(ctx, { nodes, username, password }) {
    const words = Object.entries(nodes).flatMap(([name, address]) => [name, `addr=${address}`]);
    // Without a terminal pcs reads the password from standard input.
    const script = 'user=$1; shift; pcs host auth "$@" -u "$user"';
    const said = await ctx.job(script, {
      args: [username, ...words],
      stdin: `${password}\n`,
      isRepeatable: true,
    });
    if (said.code !== 0)
      throw new StepFailed(
        `pcs cannot make the nodes known to ${ctx.host.name}: ${lastWords(said)}`,
        {},
        {
          hint: `has ${username} this password on all nodes, and does pcsd run there? (user_password, service)`,
        },
      );
    return undefined;
  },
});
