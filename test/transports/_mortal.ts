import type { Host } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { openTransport } from '../../engine/transports/open.ts';

/** An engine of one exchange, to be killed in the middle of it: begins a job or a dialogue. */
interface Errand {
  readonly host: Host;
  readonly run: string;
  readonly key: string;
  readonly script: string;
  readonly args: readonly string[];
  /** Prompt → answer, of a dialogue. */
  readonly answers?: readonly (readonly [string, string])[];
}

const { host, run, key, script, args, answers } = JSON.parse(process.argv[2] ?? '{}') as Errand;
const transport = openTransport(host, { redactor: new Redactor() });
const id = { run, host: host.name, key };
if (answers === undefined) await transport.job(id, script, { args, mode: 'start' });
else {
  const wanted = answers.map(([prompt, answer]) => ({ prompt: new RegExp(prompt), answer }));
  await transport.dialogue(id, script, wanted, { args, mode: 'start' });
}
