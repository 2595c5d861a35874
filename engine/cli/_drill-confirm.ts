import { createHash } from 'node:crypto';
import { durationText } from '../core/duration.ts';
import { DrillbookError } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import type { Redactor } from '../core/secret.ts';
import type { Drill } from '../drill/load.ts';
import { kindOf } from '../drill/schema.ts';
import { harmless } from '../report/text.ts';
import { terminalAsk } from './_ask.ts';
import type { Invocation } from './_command.ts';
import type { Prepared } from './_prepare.ts';

const harmOf = (drill: Drill): string =>
  drill.faults
    .map((fault) => {
      const { kind, on } = kindOf(fault);
      return `${kind.replace('_', ' ')} of ${on} for ${durationText(fault.for)}`;
    })
    .join(', ');

/** Playbooks with their inputs and what they ask, each in words. */
const remediesOf = ({ then }: Drill, plans: readonly Prepared[], redactor: Redactor): readonly string[] =>
  then.map(({ run, with: inputs, when }, i) => {
    const given = inputs === undefined ? '' : ` with ${JSON.stringify(redactor.value(inputs))}`;
    const asks = plans[i]?.plan.confirmations.join('; ') ?? '';
    return `${run}${given}${when === undefined ? '' : ' where needed'}${asks && ` (${asks})`}`;
  });

/** The operator says that all of it is meant, the playbooks (planned, in their order) as they are now. Throws `guard.confirmation`. */
export async function confirmDrill(
  drill: Drill,
  cluster: Cluster,
  plans: readonly Prepared[],
  { options, redactor }: Invocation,
): Promise<void> {
  const { name, nodes } = cluster;
  const remedies = remediesOf(drill, plans, redactor);
  const then = remedies.length === 0 ? '' : ` Then ${remedies.join(', ')}.`;
  const harm = harmOf(drill);
  const question = `${drill.name}: ${harm && `${harm}, `}on ${name} (${nodes.join(', ')}), which is no lab.${then}`;
  const codes = plans.map(({ plan }) => plan.code);
  const code = createHash('sha256')
    .update(JSON.stringify([drill.name, drill.faults, drill.then, codes, name, nodes]))
    .digest('hex')
    .slice(0, 6);
  const { yes } = options;
  const ask = terminalAsk();
  const given =
    typeof yes === 'string' ? yes : await ask?.(`${harmless(question)}\nType the code ${code} to go on: `);
  if (given?.trim() === code) return;
  throw new DrillbookError(
    'guard.confirmation',
    `this drill ${given === undefined ? 'has to be confirmed' : 'was not confirmed: the code is wrong'}: ${question}`,
    { hint: `read it, then give --yes ${code}` },
  );
}
