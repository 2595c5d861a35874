import { dirname } from 'node:path';
import { durationText } from '../core/duration.ts';
import { DrillbookError } from '../core/error.ts';
import { pause } from '../run/waiting.ts';
import type { Before, Course, DrillRequest } from './course.ts';
import { FAULT_DIRS, LEFT_FAULTS, localShell } from './lease.ts';
import { playbookOf } from './load.ts';
import type { PairLock } from './pair-lock.ts';
import { look, unmet, until } from './stage.ts';

/** Throws where the drill must not begin: the pair is not as it should be, or another drill's fault is in force. */
export async function steadyBefore(course: Course): Promise<Before> {
  const { drill } = course.request;
  const status = await look(course);
  const wrong = unmet(drill.steady.that, course, status);
  if (wrong.length > 0) {
    const problems = status.problems.map(({ message }) => message).join('; ');
    throw new DrillbookError(
      'guard.steady',
      `the steady state does not hold, so nothing was done: ${wrong.join('; ')}${problems && ` (${problems})`}`,
    );
  }
  const holding = (role: string): string | undefined => status.nodes.find((node) => node.role === role)?.name;
  const [primary, standby] = [holding('primary'), holding('standby')];
  if (primary === undefined || standby === undefined)
    throw new DrillbookError('guard.steady', 'no primary and standby were found, so nothing was done');
  const left = await leftFaults(course.request);
  if (left.length > 0)
    throw new DrillbookError('guard.fault', `a fault of another drill is in force on ${left.join(', ')}`, {
      hint: 'it heals itself when its lease runs out: look again then',
    });
  return { primary, standby };
}

/** `NODE FOLDER` of each fault that is in force: kept by the node itself, or here where it takes the node's power. */
async function leftFaults({ cluster, on, dir }: DrillRequest): Promise<readonly string[]> {
  const here = localShell(LEFT_FAULTS, { args: [cluster.nodes.join(' '), dirname(dir)] });
  const args = ['', ...Object.values(FAULT_DIRS)];
  const all = await Promise.all([here, ...cluster.nodes.map((node) => on(node).sh(LEFT_FAULTS, { args }))]);
  return all.flatMap(({ stdout }) => stdout.split('\n').filter(Boolean));
}

/** Tells, asked again and again, whether the steady state has held long enough; and what does not hold. */
export function steadiness(course: Course): { isSteady(): Promise<boolean>; wrong(): readonly string[] } {
  const { steady } = course.request.drill;
  let sinceMs: number | undefined;
  let wrong: readonly string[] = [];
  return {
    wrong: () => wrong,
    async isSteady() {
      const askedMs = course.now();
      wrong = await look(course).then(
        (status) => unmet(steady.that, course, status),
        (error: unknown) => [(error as Error).message],
      );
      sinceMs = wrong.length > 0 ? undefined : (sinceMs ?? askedMs);
      return sinceMs !== undefined && course.now() - sinceMs >= steady.holds;
    },
  };
}

/** All is well again, and stays so for a while; otherwise the drill ends in doubt. */
export async function steadyAfter(course: Course, signal: AbortSignal): Promise<void> {
  const { within, holds } = course.request.drill.steady;
  const { isSteady, wrong } = steadiness(course);
  const took = await until(isSteady, within + holds, signal);
  if (took !== undefined || signal.aborted) return;
  const why = wrong().join('; ') || 'it does not last';
  course.worsen('in_doubt', `the steady state is not back within ${durationText(within)}: ${why}`);
}

/**
 * A look takes the nodes' time, of which one that takes over has better use: the next comes as soon as the watch has seen
 * more than what was `known` before this one, or a multiple of its time later; yet before the first of the times that are
 * `left` is over.
 */
async function rest(
  course: Course,
  { known, tookMs, left }: { known: number; tookMs: number; left: readonly number[] },
  signal: AbortSignal,
): Promise<void> {
  const mostMs = Math.min(5000, 3 * tookMs, ...left.map((ms) => ms - 2 * tookMs));
  const endMs = course.now() + Math.max(200, mostMs);
  while (course.seen.length === known && course.now() < endMs && !signal.aborted) await pause(50, signal);
}

/** What should happen by itself, looked for until each has happened or its time is over; `failed` ends it early. */
export async function expectAll(
  course: Course,
  before: Before,
  faultMs: number,
  failed: AbortController,
): Promise<void> {
  const { now, tell, worsen, request } = course;
  const { drill } = request;
  const over = AbortSignal.any([request.interrupt, failed.signal]);
  const open = new Set(drill.expect);
  await pause(Math.max(0, faultMs - now()), over);
  while (open.size > 0 && !over.aborted) {
    const [askedMs, known] = [now(), course.seen.length];
    const status = await look(course).catch((error: unknown) => {
      failed.abort();
      throw error;
    });
    // When in the look it came to hold nobody can tell.
    const seenMs = now() - faultMs;
    for (const check of open) {
      const { name, within } = check;
      const isMet = seenMs <= within && unmet(check.that, course, status, before).length === 0;
      if (!isMet && seenMs < within) continue;
      open.delete(check);
      course.checks.push({ name, withinMs: within, tookMs: isMet ? seenMs : null });
      tell({ event: 'check', name, isMet, tookMs: isMet ? seenMs : within });
      if (!isMet) worsen('failed', `it did not happen within ${durationText(within)}: ${name}`);
    }
    const left = [...open].map(({ within }) => within - seenMs);
    if (open.size > 0) await rest(course, { known, tookMs: now() - askedMs, left }, over);
  }
}

/** Playbooks for what did not happen by itself, each where its condition comes to hold before all is well. */
export async function runThen(course: Course, before: Before, lock: PairLock): Promise<void> {
  const { now, tell, worsen, request } = course;
  const { drill, interrupt } = request;
  for (const { run, when, within, with: inputs = {} } of drill.then) {
    const playbook = playbookOf(drill, run);
    const fromMs = now();
    const { isSteady } = steadiness(course);
    let isDue = when === undefined;
    const isDecided = async (): Promise<boolean> => {
      isDue = when === undefined || unmet(when, course, await look(course), before).length === 0;
      return isDue || (await isSteady());
    };
    await until(isDecided, within, interrupt);
    if (interrupt.aborted) return;
    if (!isDue) {
      course.playbooks.push({ playbook, fromMs, untilMs: now(), run: null, exitCode: null });
      tell({ event: 'playbook', run, state: 'not needed' });
      continue;
    }
    tell({ event: 'playbook', run, state: 'begun' });
    await lock.release();
    const { id, exitCode } = await request.run(playbook, inputs);
    course.playbooks.push({ playbook, fromMs, untilMs: now(), run: id, exitCode });
    await lock.take();
    tell({ event: 'playbook', run, state: exitCode === 0 ? 'done' : 'failed', id });
    if (exitCode === 0) continue;
    worsen(exitCode === 4 ? 'in_doubt' : 'failed', `${run} ended with exit code ${exitCode} (run ${id})`);
    return;
  }
}
