import type { StepOutcome } from '../../core/event.ts';
import { lastWords, protectionTexts } from '../wording.ts';
import { isBad, lastResults, type Chronicle, type StepResult, type StepStory } from './chronicle.ts';
import { escaped } from './markup.ts';
import { changesText } from './rows.ts';

/** One thing that passed or did not. */
export interface Case {
  readonly classname: string;
  readonly name: string;
  readonly seconds: number;
  readonly verdict: 'passed' | 'failure' | 'error' | 'skipped';
  readonly message: string;
  readonly detail: string;
  readonly said: string;
}

const VERDICTS: Readonly<Record<StepOutcome, Case['verdict']>> = {
  ...{ ok: 'passed', changed: 'passed', skipped: 'skipped', not_run: 'skipped' },
  ...{ failed: 'failure', unreachable: 'error', in_doubt: 'error' },
};

function caseOf(step: StepStory, result: StepResult): Case {
  const { outcome, reason, isForgiven } = result;
  const verdict = outcome === null ? 'error' : VERDICTS[outcome];
  const ignored = isForgiven ? `${outcome}, and the run went on all the same: ${reason ?? ''}` : '';
  return {
    classname: step.play,
    name: step.name,
    seconds: result.durationMs / 1000,
    verdict: isForgiven ? 'passed' : verdict,
    message: reason ?? (outcome === null ? 'under way when the run ended' : outcome),
    detail: isBad(outcome) ? lastWords(result.result, 50).join('\n') : '',
    said: [ignored, changesText(result)].filter(Boolean).join('\n'),
  };
}

/** The run itself: what stops it may be no step. */
const caseOfRun = ({
  run,
  outcome,
  exitCode,
  reason,
  damage,
  startedAt,
  endedAt,
  protection,
}: Chronicle): Case => ({
  classname: 'run',
  name: `run ${run}`,
  seconds: (Date.parse(endedAt) - Date.parse(startedAt)) / 1000,
  verdict: outcome === 'done' && damage === null ? 'passed' : 'failure',
  message: damage ?? reason ?? `${outcome}${exitCode === null ? '' : `, exit code ${exitCode}`}`,
  detail: '',
  said: protectionTexts(protection).join('\n'),
});

function caseXml({ classname, name, seconds, verdict, message, detail, said }: Case): string {
  const head = `    <testcase classname="${escaped(classname)}" name="${escaped(name)}" time="${seconds.toFixed(3)}"`;
  const body = [
    verdict === 'passed' ? '' : `<${verdict} message="${escaped(message)}">${escaped(detail)}</${verdict}>`,
    said === '' ? '' : `<system-out>${escaped(said)}</system-out>`,
  ].filter(Boolean);
  return body.length === 0 ? `${head}/>` : `${head}>${body.join('')}</testcase>`;
}

function totals(cases: readonly Case[]): string {
  const count = (verdict: Case['verdict']): number => cases.filter((one) => one.verdict === verdict).length;
  const seconds = cases.reduce((sum, one) => sum + one.seconds, 0);
  return `tests="${cases.length}" failures="${count('failure')}" errors="${count('error')}" skipped="${count('skipped')}" time="${seconds.toFixed(3)}"`;
}

function suiteXml(name: string, at: string, cases: readonly Case[]): string {
  const head = `  <testsuite name="${escaped(name)}" hostname="${escaped(name)}" timestamp="${at.slice(0, 19)}" ${totals(cases)}>`;
  return [head, ...cases.map(caseXml), '  </testsuite>'].join('\n');
}

/** JUnit's XML as Jenkins and GitLab read it: a suite for the run and for each host, a case for each step. */
export function junitXml(chronicle: Chronicle): string {
  const { name, startedAt, hosts, steps } = chronicle;
  const byHost = new Map(hosts.map((host) => [host, [] as Case[]]));
  for (const step of steps)
    for (const result of lastResults(step)) {
      const cases = byHost.get(result.host) ?? [];
      byHost.set(result.host, cases);
      cases.push(caseOf(step, result));
    }
  const suites = [...byHost].filter(([, cases]) => cases.length > 0);
  return suitesXml(name, startedAt, [[name, [caseOfRun(chronicle)]], ...suites]);
}

/** Suites by their names, as Jenkins and GitLab read them. */
export const suitesXml = (
  name: string,
  at: string,
  suites: readonly (readonly [string, readonly Case[]])[],
): string =>
  [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${escaped(name)}" ${totals(suites.flatMap(([, cases]) => cases))}>`,
    ...suites.map(([suite, cases]) => suiteXml(suite, at, cases)),
    '</testsuites>\n',
  ].join('\n');
