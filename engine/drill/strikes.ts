import { join } from 'node:path';
import { DrillbookError, StepFailed } from '../core/error.ts';
import type { Host } from '../core/host.ts';
import { pause } from '../run/waiting.ts';
import type { Before, Course, DrillRequest } from './course.ts';
import { strokeOf } from './faults/faults.ts';
import { FAULT_DIRS, HEAL_SECONDS, leaseOf, localShell } from './lease.ts';
import type { Healed, Lease, Shell } from './lease.ts';
import { kindOf } from './schema.ts';
import type { FaultWords } from './schema.ts';
import { bounded, until } from './stage.ts';

const LEASE_MS = 10_000;
/** A fault is healed a little later than its time where the engine is slow: its guard does not forestall that. */
const SPARE_MS = 30_000;
const EXCHANGE_MS = 15_000;
/** How long a node that is out of reach is waited for with the healing. */
const HEAL_MS = 120_000;

/** It was healed as far as it had begun. */
const refused = (name: string, { message, hint }: StepFailed): DrillbookError =>
  new DrillbookError('guard.fault', `${name} cannot be done: ${message}`, { hint });

function hostOf({ hosts }: DrillRequest, word: string, { primary, standby }: Before): Host {
  const host = hosts.get(word === 'primary' ? primary : word === 'standby' ? standby : word);
  if (host === undefined) throw new DrillbookError('usage.host', `\`${word}\` is not in the inventory`);
  return host;
}

function leaseFor(request: DrillRequest, fault: FaultWords, index: number, host: Host): Lease {
  const id = `drillbook_${request.id.replaceAll('-', '_')}_${index}`;
  const context = request.on(host.name);
  const { scripts, isFromHere } = strokeOf(id, fault, host, context.cluster ?? request.cluster);
  const there = bounded(context, HEAL_SECONDS * 1000 + EXCHANGE_MS);
  const sh: Shell = isFromHere ? localShell : (script, options) => there.sh(script, options);
  const at = isFromHere
    ? join(request.dir, id)
    : `${FAULT_DIRS[scripts.isLasting === true ? 'lasting' : 'passing']}/${id}`;
  return leaseOf(sh, scripts, { at, host: host.name, leaseMs: LEASE_MS, mostMs: fault.for + SPARE_MS });
}

/** Heals it, and asks again and again where that is not certain. */
async function healed(lease: Lease): Promise<{ readonly how: Healed; readonly why: string }> {
  let how: Healed = 'unhealed';
  let why = '';
  const isHealed = async (): Promise<boolean> => {
    try {
      const end = await lease.heal();
      [how, why] = [end.how, end.said];
    } catch (error) {
      why = (error as Error).message;
    }
    return how !== 'unhealed';
  };
  await until(isHealed, HEAL_MS, new AbortController().signal);
  return { how, why };
}

/** One fault, from when it is ordered until it is healed; what cannot be healed leaves the pair in doubt. */
async function strike(
  { now, tell, worsen, faults }: Course,
  { name, fault, host, lease }: { name: string; fault: FaultWords; host: Host; lease: Lease },
  over: AbortSignal,
  beforeHeal: () => Promise<void>,
): Promise<void> {
  const fromMs = now();
  let isRefused = false;
  tell({ event: 'fault', fault: name, host: host.name, state: 'ordered' });
  try {
    await lease.begin();
    tell({ event: 'fault', fault: name, host: host.name, state: 'in force' });
    await pause(fault.for, over);
    if (!over.aborted) await beforeHeal();
  } catch (error) {
    isRefused = error instanceof StepFailed;
    throw error;
  } finally {
    const { how, why } = await healed(lease);
    if (!isRefused || how === 'unhealed') {
      faults.push({ name, kind: kindOf(fault).kind, host: host.name, fromMs, untilMs: now(), how });
      tell({ event: 'fault', fault: name, host: host.name, state: 'healed', how });
    }
    if (how === 'unhealed') worsen('in_doubt', `${name} could not be healed${why === '' ? '' : `: ${why}`}`);
    if (how === 'lease' || how === 'time')
      worsen('failed', `${name} ended by itself, for its lease was not renewed in time`);
  }
}

/**
 * All faults, each in its time and for its time; resolves or rejects when the last one is healed. `failed` ends them
 * early, and is aborted where one cannot be done. `beforeHeal` is awaited before each that has lasted its time is healed.
 */
export async function strikeAll(
  course: Course,
  before: Before,
  failed: AbortController,
  beforeHeal: () => Promise<void>,
): Promise<void> {
  const { request, now } = course;
  const over = AbortSignal.any([request.interrupt, failed.signal]);
  const beganMs = now();
  const one = async (fault: FaultWords, index: number): Promise<void> => {
    const { kind, on } = kindOf(fault);
    const host = hostOf(request, on, before);
    const name = fault.name ?? `${kind.replace('_', ' ')} of ${host.name}`;
    await pause(Math.max(0, beganMs + fault.after - now()), over);
    if (over.aborted) return;
    try {
      const lease = leaseFor(request, fault, index, host);
      await strike(course, { name, fault, host, lease }, over, beforeHeal);
    } catch (error) {
      failed.abort();
      throw error instanceof StepFailed ? refused(name, error) : error;
    }
  };
  const all = await Promise.allSettled(request.drill.faults.map(one));
  for (const end of all) if (end.status === 'rejected') throw end.reason;
}
