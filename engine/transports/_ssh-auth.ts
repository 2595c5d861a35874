import { readFileSync } from 'node:fs';
import type { AnyAuthMethod, AuthenticationType, BaseAgent, NextAuthHandler, ParsedKey } from 'ssh2';
import type ssh2Module from 'ssh2';
import { Unreachable } from '../core/error.ts';
import type { Target } from './_target.ts';

type Ssh2 = typeof ssh2Module;

/** Ways to log in, one after the other, and what became of them. */
export interface Login {
  /** For ssh2: the next way, straight to the likeliest key. */
  readonly handler: (
    left: AuthenticationType[] | null,
    isPartial: boolean | null,
    next: NextAuthHandler,
  ) => void;
  failure(): Unreachable;
}

interface Attempt {
  readonly name: string;
  readonly kind: AuthenticationType;
  readonly method: AnyAuthMethod;
}

function readKey(ssh2: Ssh2, file: string, passphrase: string | undefined): ParsedKey | string {
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return code === 'ENOENT' ? `${file} is missing` : `${file} cannot be read (${code ?? 'unknown error'})`;
  }
  const key = ssh2.utils.parseKey(text, passphrase);
  if (!(key instanceof Error)) return Array.isArray(key) ? (key[0] ?? `${file} holds no key`) : key;
  if (/no passphrase given/i.test(key.message)) return `${file} is encrypted and no passphrase is given`;
  if (passphrase !== undefined && /decrypt|passphrase|integrity|checksum/i.test(key.message)) {
    return `the passphrase of ${file} is wrong`;
  }
  return `${file} is not a private key that can be used (${key.message})`;
}

/** The agent, showing only the keys whose public half lies beside one of the files. */
function narrow(ssh2: Ssh2, agent: BaseAgent, files: readonly string[]): BaseAgent {
  const wanted: string[] = [];
  for (const file of files) {
    try {
      wanted.push(readFileSync(`${file}.pub`, 'utf8').split(/\s+/)[1] ?? '');
    } catch {
      // Without its public half a key cannot be told apart in the agent.
    }
  }
  const narrowed = Object.create(agent) as BaseAgent;
  narrowed.getIdentities = (callback) =>
    agent.getIdentities((error, keys) => {
      const blob = (key: unknown): string => {
        const parsed = Buffer.isBuffer(key) ? ssh2.utils.parseKey(key) : (key as ParsedKey);
        const one = Array.isArray(parsed) ? parsed[0] : parsed;
        return one === undefined || one instanceof Error ? '' : one.getPublicSSH().toString('base64');
      };
      callback(
        error,
        keys?.filter((key) => wanted.includes(blob(key))),
      );
    });
  return narrowed;
}

function* attempts(ssh2: Ssh2, target: Target, notes: string[]): Generator<Attempt> {
  const { user: username, agentSocket, identityFiles, password } = target;
  const unusable: string[] = [];
  for (const file of identityFiles) {
    const key = readKey(ssh2, file, target.passphrase);
    if (typeof key !== 'string') {
      yield { name: `key ${file}`, kind: 'publickey', method: { type: 'publickey', username, key } };
      continue;
    }
    unusable.push(file);
    if (target.isChosen || !key.endsWith('is missing')) notes.push(key);
  }
  if (agentSocket !== undefined) {
    const agent = ssh2.createAgent(agentSocket);
    const shown = target.isIdentitiesOnly ? narrow(ssh2, agent, unusable) : agent;
    yield {
      name: `agent ${agentSocket}`,
      kind: 'publickey',
      method: { type: 'agent', username, agent: shown },
    };
  }
  if (password === undefined) return;
  yield { name: 'password', kind: 'password', method: { type: 'password', username, password } };
  yield {
    name: 'password by keyboard-interactive',
    kind: 'keyboard-interactive',
    method: {
      type: 'keyboard-interactive',
      username,
      prompt: (_name, _instructions, _language, prompts, finish) => finish(prompts.map(() => password)),
    },
  };
}

/** Prepares the login; key files are read and the agent is asked only when their turn comes. */
export function makeLogin(ssh2: Ssh2, target: Target): Login {
  const tried: string[] = [];
  const notes: string[] = [];
  const ways = attempts(ssh2, target, notes);
  return {
    handler(left, _isPartial, next) {
      // Not for…of: leaving the loop would end the generator.
      for (let way = ways.next(); way.done !== true; way = ways.next()) {
        const { name, kind, method } = way.value;
        if (left !== null && !left.includes(kind)) continue;
        tried.push(name);
        return next(method);
      }
      (next as unknown as (none: false) => void)(false);
    },
    failure() {
      const what = tried.length === 0 ? 'there was nothing to try' : `tried ${tried.join(', ')}`;
      const more = notes.length === 0 ? '' : `; ${notes.join('; ')}`;
      return new Unreachable(
        target.host,
        'auth',
        `${target.host} does not let ${target.user} in: ${what}${more}`,
        {
          hint: 'set `connection: { user, identity_file }`, or load the key into the agent',
        },
      );
    },
  };
}
