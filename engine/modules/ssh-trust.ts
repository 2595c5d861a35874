import { z } from 'zod';
import { StepFailed } from '../core/error.ts';
import { state } from '../core/module.ts';
import type { Change, Checked, Context } from '../core/module.ts';
import { linesOf, must, succeeded } from './_sh.ts';
import { AUTHORIZE, KNOWN, LOGIN, MAKE_KEY, NOTE, OWN_KEY, PEER } from './_ssh-trust-scripts.ts';
import { zUserName } from './_user.ts';

const zName = z
  .string()
  .max(255)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.:%-]*$/, { error: 'must be a name or an address' });

const params = z.strictObject({
  user: zUserName.default('root').describe('Who logs in, by the same name on all (default root).'),
  hosts: z
    .array(z.string())
    .min(1)
    .optional()
    .describe(
      'Hosts of the inventory that this one gets access to (default: the other nodes of its cluster).',
    ),
  names: z
    .record(z.string(), z.array(zName).min(1))
    .default({})
    .describe(
      'host of the inventory: names and addresses under which the others reach it (default: its address in the inventory).',
    ),
});
type Given = z.output<typeof params>;

/** Type and blob: what of a public key is the key. */
const bare = (key: string): string => key.trim().split(/\s+/).slice(0, 2).join(' ');
const comment = (ctx: Context, user: string): string => `${user}@${ctx.host.name}`;
/** As known_hosts has it (sshd(8)). */
const knownAs = (name: string, port: string): string => (port === '22' ? name : `[${name}]:${port}`);

type Lines = readonly (readonly [word: string, rest: string])[];

/** Runs a script as the user; lines of a word and what is told of it. */
async function ask(ctx: Context, user: string, script: string, args: readonly string[] = []): Promise<Lines> {
  const node = ctx.host.name;
  const said = await must(ctx, `what ${user} has on ${node} cannot be told`, script, {
    args: [user, ...args],
    isLook: true,
  });
  const lines = linesOf(said).map((line) => {
    const at = line.indexOf('\t');
    return at < 0 ? ([line, ''] as const) : ([line.slice(0, at), line.slice(at + 1)] as const);
  });
  const [first] = lines[0] ?? [];
  if (first === 'unknown') throw new StepFailed(`${node} has no user ${user}`);
  if (first === 'closed')
    throw new StepFailed(
      `only ${[...new Set([user, 'root'])].join(' or ')} may do this on ${node}`,
      {},
      { hint: 'become: true' },
    );
  if (first === 'tools')
    throw new StepFailed(
      `ssh is not installed on ${node}`,
      {},
      { hint: 'package openssh-client, or openssh-clients' },
    );
  return lines;
}

const of = (lines: Lines, word: string): string[] =>
  lines.filter(([key]) => key === word).map(([, rest]) => rest);

interface OwnKey {
  /** Undefined where there is none yet. */
  readonly key: string | undefined;
  /** What is told of the file of the public half, where that is not the key's. */
  readonly pub: 'absent' | 'another' | undefined;
}

async function ownKey(ctx: Context, user: string): Promise<OwnKey> {
  const lines = await ask(ctx, user, OWN_KEY);
  const [broken] = of(lines, 'broken');
  if (broken !== undefined)
    throw new StepFailed(
      `the key of ${user} on ${ctx.host.name} cannot be used without asking: ${broken}`,
      {},
      { hint: 'a key with a passphrase is of no use to programs' },
    );
  const [key] = of(lines, 'key');
  if (key === undefined) return { key: undefined, pub: undefined };
  const pub = bare(of(lines, 'pub')[0] ?? '');
  return { key: bare(key), pub: pub === '' ? 'absent' : pub === bare(key) ? undefined : 'another' };
}

interface Peer {
  readonly ctx: Context;
  readonly names: readonly string[];
  readonly port: string;
  /** Host keys of its sshd, as itself has them. */
  readonly hostKeys: readonly string[];
  readonly isAuthorized: boolean;
}

/** Told by the peers themselves, over the connections of the run, whose host keys are checked. */
function peersOf(
  ctx: Context,
  { user, hosts, names }: Given,
  key: string | undefined,
): Promise<readonly Peer[]> {
  const others = hosts ?? ctx.cluster?.nodes.filter((node) => node !== ctx.host.name);
  if (!others?.length)
    throw new StepFailed(`${ctx.host.name} is in no cluster: say in \`hosts\` which hosts it gets access to`);
  // A name that the inventory does not have is a slip, and told as such.
  for (const name of Object.keys(names)) ctx.on(name);
  return Promise.all(
    others.map(async (name): Promise<Peer> => {
      const peer = ctx.on(name);
      const lines = await ask(peer, user, PEER, [key ?? '']);
      const hostKeys = of(lines, 'host').map(bare);
      if (hostKeys.length === 0) throw new StepFailed(`${name} has no host keys that can be read`);
      const [file] = of(lines, 'file');
      if (file === 'none')
        throw new StepFailed(`sshd of ${name} takes no keys of ${user}: AuthorizedKeysFile none`);
      return {
        ctx: peer,
        names: names[name] ?? [peer.host.connection.address ?? name],
        port: of(lines, 'port')[0] ?? '22',
        hostKeys,
        isAuthorized: of(lines, 'authorized').length > 0,
      };
    }),
  );
}

interface Unknown {
  readonly peer: Peer;
  readonly name: string;
  readonly before: 'none' | 'another' | 'not all';
}

/** Names of peers of which known_hosts does not have exactly their keys. */
async function unknownOf(ctx: Context, user: string, peers: readonly Peer[]): Promise<readonly Unknown[]> {
  const all = peers.flatMap((peer) => peer.names.map((name) => ({ peer, name: knownAs(name, peer.port) })));
  const lines = await ask(
    ctx,
    user,
    KNOWN,
    all.map(({ name }) => name),
  );
  return all.flatMap(({ peer, name }): readonly Unknown[] => {
    const start = lines.findIndex(([word, rest]) => word === 'name' && rest === name) + 1;
    const end = lines.findIndex(([word], i) => i >= start && word === 'name');
    const found = lines
      .slice(start, end < 0 ? undefined : end)
      // Revoked keys and authorities of certificates are another's matter.
      .filter(([, rest]) => !rest.startsWith('@'))
      .map(([, rest]) => bare(rest.trim().replace(/^\S+\s+/, '')));
    if (found.some((key) => !peer.hostKeys.includes(key))) return [{ peer, name, before: 'another' }];
    if (peer.hostKeys.every((key) => found.includes(key))) return [];
    return [{ peer, name, before: found.length === 0 ? 'none' : 'not all' }];
  });
}

/** Logs in for real, everywhere; fails where that does not go. */
async function logIn(ctx: Context, user: string, peers: readonly Peer[]): Promise<void> {
  const all = peers.flatMap(({ names, port }) => names.flatMap((name) => [name, port]));
  for (const said of of(await ask(ctx, user, LOGIN, all), 'login')) {
    const [name = '', code, ...words] = said.split('\t');
    if (code === '0') continue;
    throw new StepFailed(
      `${user} on ${ctx.host.name} cannot log in at ${name}: ${words.join('\t') || `exit code ${code}`}`,
      {},
      {
        hint: 'keys and host keys are in place: sshd there (PermitRootLogin, AllowUsers, rights of the home) or the network',
      },
    );
  }
}

async function look(ctx: Context, given: Given) {
  const own = await ownKey(ctx, given.user);
  const peers = await peersOf(ctx, given, own.key);
  return { own, peers, unknown: await unknownOf(ctx, given.user, peers) };
}

async function check(ctx: Context, given: Given): Promise<Checked> {
  const { user } = given;
  const node = ctx.host.name;
  const { own, peers, unknown } = await look(ctx, given);
  const changes: Change[] = [
    ...(own.key === undefined
      ? [{ what: `key of ${user} on ${node}`, before: 'absent', after: 'ed25519' }]
      : []),
    ...(own.pub === undefined
      ? []
      : [{ what: `public key of ${user} on ${node}`, before: own.pub, after: 'that of its key' }]),
    ...peers
      .filter(({ isAuthorized }) => !isAuthorized)
      .map((peer) => ({
        what: `key of ${comment(ctx, user)} for ${user} on ${peer.ctx.host.name}`,
        before: 'absent',
        after: 'authorized',
      })),
    ...unknown.map(({ peer, name, before }) => ({
      what: `host keys of ${name} for ${user} on ${node}`,
      before,
      after: `those of ${peer.ctx.host.name}`,
    })),
  ];
  if (changes.length === 0) await logIn(ctx, user, peers);
  return {
    changes,
    result: {
      ...(own.key === undefined ? {} : { public_key: own.key }),
      reaches: peers.flatMap(({ names }) => names),
    },
  };
}

async function apply(ctx: Context, given: Given): Promise<undefined> {
  const { user } = given;
  const own = comment(ctx, user);
  const made = await ctx.job(MAKE_KEY, { args: [user, own] });
  succeeded(`${user} has got no key on ${ctx.host.name}`, made);
  const {
    own: { key = '' },
    peers,
    unknown,
  } = await look(ctx, given);
  for (const peer of peers.filter(({ isAuthorized }) => !isAuthorized)) {
    const said = await peer.ctx.job(AUTHORIZE, { args: [user, key, own] });
    succeeded(`the key of ${own} was not authorized on ${peer.ctx.host.name}`, said);
  }
  if (unknown.length === 0) return undefined;
  const lines = unknown.flatMap(({ peer, name }) => peer.hostKeys.map((hostKey) => `${name} ${hostKey}\n`));
  const noted = await ctx.job(NOTE, {
    args: [user, ...unknown.map(({ name }) => name)],
    stdin: lines.join(''),
  });
  succeeded(`the host keys were not noted on ${ctx.host.name}`, noted);
  return undefined;
}

export default state({
  summary:
    'A user logs in from this host to its peers without being asked, host keys known; proved by a real login.',
  source: 'ssh-keygen(1), sshd(8), sshd_config(5), ssh_config(5)',
  params,
  examples: `
- name: Root of each node gets to the other, both ways where the play has both as its hosts
  ssh_trust: { names: { dbk1: [ha-node01, 10.0.0.11], dbk2: [ha-node02, 10.0.0.12] } }
`,
  returns: {
    public_key: z.string().optional().describe('public key of the user on this host, where there is one'),
    reaches: z.array(z.string()).meta({ isLasting: true }).describe('names under which it reaches its peers'),
  },
  check,
  apply,
});
