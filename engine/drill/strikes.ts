import { join } from 'node:path';
import { DrillbookError, StepFailed, Unreachable } from '../core/error.ts';
import { pause } from '../run/waiting.ts';
import type { Host } from '../core/host.ts';
import type { Before, Course } from './course.ts';
import { strokeOf } from './faults/faults.ts';
import { begin, FAULT_DIRS, HEAL_SECONDS, localShell } from './lease.ts';
import type { Healed, Lease, Shell } from './lease.ts';
import type { FaultRecord } from './record.ts';
import { kindOf } from './schema.ts';
import type { FaultWords } from './schema.ts';
import { bounded, until } from './stage.ts';

const LEASE_MS = 10_000;
/** A fault is healed a little later than its time where the engine is slow: its guard does not forestall that. */
const SPARE_MS = 30_000;
const EXCHANGE_MS = 15_000;
/** How long a node that is out of reach is waited for with the healing. */
const HEAL_MS = 120_000;

interface Struck {
  readonly name: string;
  readonly host: string;
  readonly lease: Lease;
  readonly record: FaultRecord;
  /** Ends the renewals. */
  readonly stop: AbortController;
}

/** The faults of a drill. */
export interface Strikes {
  /** All of them, each in its time and for its time; resolves when the last one is healed. */
  strikeAll(before: Before): Promise<void>;
  /** Heals what is in force still. */
  healAll(): Promise<void>;
}

/** It was healed as far as it had begun. */
const refused = (name: string, { message, hint }: StepFailed): DrillbookError =>
  new DrillbookError('guard.fault', `${name} cannot be done: ${message}`, { hint });

const nodeOf = (word: string, { primary, standby }: Before): string =>
  word === 'primary' ? primary : word === 'standby' ? standby : word;

/** `beforeHeal` is awaited once, before the first fault whose time is over is healed. */
export function strikesOf(course: Course, beforeHeal: () => Promise<void>): Strikes {
  const { request, now, tell, worsen } = course;
  const { drill, cluster, hosts, interrupt, on } = request;
  const struck = new Set<Struck>();
  let looked: Promise<void> | undefined;

  function strike(fault: FaultWords, index: number, before: Before): Promise<Struck> {
    const { kind, on: word } = kindOf(fault);
    const host = hosts.get(nodeOf(word, before));
    if (host === undefined) throw new DrillbookError('usage.host', `\`${word}\` is not in the inventory`);
    const name = fault.name ?? `${kind.replace('_', ' ')} of ${host.name}`;
    return beginOn(host, name, fault, index).catch((error: unknown) => {
      throw error instanceof StepFailed ? refused(name, error) : error;
    });
  }

  async function beginOn(host: Host, name: string, fault: FaultWords, index: number): Promise<Struck> {
    const { kind } = kindOf(fault);
    const id = `drillbook_${request.id.replaceAll('-', '_')}_${index}`;
    const context = on(host.name);
    const { scripts, isFromHere } = strokeOf(id, fault, host, context.cluster ?? cluster);
    const there = bounded(context, HEAL_SECONDS * 1000 + EXCHANGE_MS);
    const sh: Shell = isFromHere ? localShell : (script, options) => there.sh(script, options);
    const at = isFromHere
      ? join(request.dir, id)
      : `${FAULT_DIRS[scripts.isLasting === true ? 'lasting' : 'passing']}/${id}`;
    const fromMs = now();
    tell({ event: 'fault', fault: name, host: host.name, state: 'ordered' });
    const lease = await begin(sh, scripts, { at, leaseMs: LEASE_MS, mostMs: fault.for + SPARE_MS });
    tell({ event: 'fault', fault: name, host: host.name, state: 'in force' });
    const record = { name, kind, host: host.name, fromMs, untilMs: null, how: null };
    return { name, host: host.name, lease, record, stop: new AbortController() };
  }

  /** What cannot be healed leaves the pair in doubt. */
  async function heal(one: Struck): Promise<void> {
    if (!struck.delete(one)) return;
    one.stop.abort();
    let how = 'unhealed' as Healed;
    let why = '';
    const isHealed = async (): Promise<boolean> => {
      try {
        const end = await one.lease.heal();
        [how, why] = [end.how, end.said];
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        why = error.message;
      }
      return how !== 'unhealed';
    };
    await until(isHealed, HEAL_MS, new AbortController().signal);
    course.faults.push({ ...one.record, untilMs: now(), how });
    tell({ event: 'fault', fault: one.name, host: one.host, state: 'healed', how });
    if (how === 'unhealed' || how === 'failed')
      worsen('in_doubt', `${one.name} could not be healed${why === '' ? '' : `: ${why}`}`);
    if (how === 'lease' || how === 'time')
      worsen('failed', `${one.name} ended by itself, for its lease was not renewed in time`);
  }

  return {
    async strikeAll(before) {
      const beganMs = now();
      const one = async (fault: FaultWords, index: number): Promise<void> => {
        await pause(Math.max(0, beganMs + fault.after - now()), interrupt);
        if (interrupt.aborted) return;
        const mine = await strike(fault, index, before);
        struck.add(mine);
        mine.lease.keep(mine.stop.signal).catch(() => undefined);
        await pause(fault.for, interrupt);
        if (!interrupt.aborted) await (looked ??= beforeHeal());
        await heal(mine);
      };
      const all = await Promise.allSettled(drill.faults.map(one));
      for (const end of all) if (end.status === 'rejected') throw end.reason;
    },
    healAll: async () => void (await Promise.all([...struck].map(heal))),
  };
}
