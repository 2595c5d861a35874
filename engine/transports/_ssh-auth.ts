import { readFileSync } from 'node:fs';
import type { AnyAuthMethod, AuthenticationType, BaseAgent, NextAuthHandler, ParsedKey } from 'ssh2';
import type ssh2Module from 'ssh2';
import { Unreachable } from '../core/error.ts';
import type { Redactor } from '../core/secret.ts';
import { lockedKeyAgent, readKey } from './_ssh-keys.ts';
import { answerer } from './_ssh-prompts.ts';
import type { AskFor } from './_ssh-prompts.ts';
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

export interface LoginTools {
  readonly redactor: Redactor;
  /** Asks on the terminal, where there is one. */
  readonly ask?: AskFor | undefined;
}

interface Attempt {
  readonly name: string;
  readonly kind: AuthenticationType;
  readonly method: AnyAuthMethod;
  /** Only where the server has taken something before and wants more: nobody is to be asked in vain. */
  readonly isSecondFactor?: boolean;
  /** The same password as that way's: in vain where that was refused, and one more step towards a locked account. */
  readonly sameAs?: AuthenticationType;
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

function* keyAttempts(ssh2: Ssh2, target: Target, tools: LoginTools, notes: string[]): Generator<Attempt> {
  const { user: username, agentSocket, identityFiles } = target;
  const { ask, redactor } = tools;
  const kind = 'publickey';
  const unusable: string[] = [];
  const locked: Attempt[] = [];
  for (const file of identityFiles) {
    const key = readKey(ssh2, file, target.passphrase, ask !== undefined);
    const name = `key ${file}`;
    if (key.kind === 'open') {
      yield { name, kind, method: { type: kind, username, key: key.key } };
      continue;
    }
    unusable.push(file);
    if (key.kind === 'locked' && ask) {
      const agent = lockedKeyAgent(ssh2, file, key.publicKey, (question) => ask(question, true), redactor);
      locked.push({ name, kind, method: { type: 'agent', username, agent } });
    } else if (key.kind === 'unusable' && (target.isChosen || !key.why.endsWith('is missing')))
      notes.push(key.why);
  }
  if (agentSocket !== undefined) {
    const agent = ssh2.createAgent(agentSocket);
    const shown = target.isIdentitiesOnly ? narrow(ssh2, agent, unusable) : agent;
    yield { name: `agent ${agentSocket}`, kind, method: { type: 'agent', username, agent: shown } };
  }
  // The agent may hold them open.
  yield* locked;
}

function* attempts(ssh2: Ssh2, target: Target, tools: LoginTools, notes: string[]): Generator<Attempt> {
  const { user: username, password } = target;
  for (const kind of target.methods) {
    if (kind === 'publickey') yield* keyAttempts(ssh2, target, tools, notes);
    if (kind === 'password' && password !== undefined)
      yield { name: 'password', kind, method: { type: kind, username, password } };
    if (kind !== 'keyboard-interactive' || (password === undefined && !tools.ask)) continue;
    const note = (text: string): void => void notes.push(text);
    const answer = answerer(target.host, { password, ask: tools.ask, note });
    yield {
      name: password === undefined ? 'keyboard-interactive' : 'password by keyboard-interactive',
      kind,
      isSecondFactor: password === undefined,
      ...(tools.ask ? {} : { sameAs: 'password' as const }),
      method: {
        type: kind,
        username,
        prompt: (_name, instructions, _language, prompts, finish) =>
          void answer(instructions, prompts).then(
            (answers) => finish(answers ?? prompts.map(() => '')),
            () => finish(prompts.map(() => '')),
          ),
      },
    };
  }
}

/** Prepares the login; key files are read and the agent is asked only when their turn comes. */
export function makeLogin(ssh2: Ssh2, target: Target, tools: LoginTools): Login {
  const tried: string[] = [];
  const notes: string[] = [];
  const ways = attempts(ssh2, target, tools, notes);
  /** Ways whose turn has come while the server did not want their kind: it may later. */
  const passed: Attempt[] = [];
  const used: Attempt[] = [];
  const hint = (): string =>
    target.certificateFiles.length > 0 && target.methods.includes('publickey')
      ? 'certificates of users are not supported: give a key that the host knows by itself (authorized_keys)'
      : 'set `connection: { user, identity_file }`, or load the key into the agent';
  return {
    handler(left, isPartial, next) {
      const isRefused = (kind: AuthenticationType | undefined): boolean =>
        kind !== undefined &&
        isPartial !== true &&
        left?.includes(kind) === true &&
        used.some((way) => way.kind === kind);
      const isWanted = ({ kind, isSecondFactor, sameAs }: Attempt): boolean =>
        (left === null || left.includes(kind)) &&
        (isSecondFactor !== true || isPartial === true) &&
        !isRefused(sameAs);
      const take = (way: Attempt): void => {
        if (!tried.includes(way.name)) tried.push(way.name);
        used.push(way);
        next(way.method);
      };
      // A step further the server may want what it would not have before.
      if (isPartial === true) passed.push(...used.splice(0).slice(0, -1));
      const at = passed.findIndex(isWanted);
      const [before] = at < 0 ? [] : passed.splice(at, 1);
      if (before) return take(before);
      // Not for…of: leaving the loop would end the generator.
      for (let way = ways.next(); way.done !== true; way = ways.next()) {
        if (isWanted(way.value)) return take(way.value);
        passed.push(way.value);
      }
      (next as unknown as (none: false) => void)(false);
    },
    failure() {
      const what = tried.length === 0 ? 'there was nothing to try' : `tried ${tried.join(', ')}`;
      const certificates = target.certificateFiles.map((file) => `the certificate ${file} is not used`);
      const more = [...new Set([...notes, ...certificates])].map((note) => `; ${note}`).join('');
      const message = `${target.host} does not let ${target.user} in: ${what}${more}`;
      return new Unreachable(target.host, 'auth', message, { hint: hint() });
    },
  };
}
