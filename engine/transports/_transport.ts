import { StringDecoder } from 'node:string_decoder';
import type { ShOptions, ShResult, Transport } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';
import { runDialogue } from './_dialogue.ts';
import { readFile, writeFile } from './_file.ts';
import { runJob } from './_job.ts';
import { makeSession } from './_session.ts';
import type { RawOptions, Session } from './_session.ts';
import type { Exchange } from './_shell.ts';
import type { Carrier } from './_wire.ts';

const resultOf = ({ code, stdout, stderr }: Exchange): ShResult => ({
  code,
  stdout: stdout.toString(),
  stderr: stderr.toString(),
});

function rawOptions({ onOutput, ...rest }: ShOptions): RawOptions {
  const decoder = new StringDecoder('utf8');
  return { ...rest, onBytes: onOutput && ((bytes: Buffer) => onOutput(decoder.write(bytes))) };
}

/** The transport over a carrier, which `connect` gives; after a loss the next call connects anew. */
export function makeTransport(connect: () => Promise<Carrier>, redactor: Redactor): Transport {
  let current: Promise<Session> | undefined;
  let opened: Session | undefined;

  function session(): Promise<Session> {
    if (current !== undefined && opened?.carrier.isGone() !== true) return current;
    opened = undefined;
    const opening = connect().then((carrier) => (opened = makeSession(carrier, redactor)));
    current = opening;
    opening.catch(() => {
      if (current === opening) current = undefined;
    });
    return opening;
  }

  return {
    async open() {
      await session();
    },
    async boot(become) {
      return (await session()).boot(become);
    },
    async sh(script, options = {}) {
      return resultOf(await (await session()).exchange(script, rawOptions(options)));
    },
    async job(id, script, options) {
      const end = await runJob(await session(), id, script, options.mode, rawOptions(options));
      return end.kind === 'ended' ? { ...end, result: resultOf(end.result) } : end;
    },
    async dialogue(id, command, answers, options) {
      return runDialogue(await session(), id, command, answers, options);
    },
    async put(path, content, options) {
      await writeFile(await session(), path, content, options);
    },
    async get(path, options) {
      return readFile(await session(), path, options?.become);
    },
    async dial(endpoint) {
      return (await session()).carrier.dial(endpoint);
    },
    isGone: () => opened?.carrier.isGone() === true,
    async close() {
      const last = await current?.catch(() => undefined);
      current = undefined;
      last?.close();
      await last?.carrier.close();
    },
  };
}
