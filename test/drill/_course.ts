import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { contextsOf } from '../../engine/cli/_contexts.ts';
import { DrillbookError } from '../../engine/core/error.ts';
import type { Host } from '../../engine/core/host.ts';
import { Redactor } from '../../engine/core/secret.ts';
import { startCourse } from '../../engine/drill/course.ts';
import type { Course, DrillRequest } from '../../engine/drill/course.ts';
import { fallAndRise } from '../../engine/drill/fall.ts';
import { loadDrill } from '../../engine/drill/load.ts';
import { pairLock } from '../../engine/drill/pair-lock.ts';
import type { DrillRecord } from '../../engine/drill/record.ts';
import { loadInventory } from '../../engine/parse/inventory.ts';
import { standInInventory, tell } from '../run/_stand-in.ts';

/** Two nodes that are this machine, and whose roles are what files say; a has a button that takes its role from it. */
export interface Stage {
  readonly dir: string;
  readonly course: Course;
  readonly interrupt: AbortController;
  /** What the fault left behind while it is in force. */
  readonly down: string;
  /** The faults and all that follows, as a drill in which a was primary; its record, without figures. */
  fall(beforeHeal?: () => Promise<void>): Promise<DrillRecord>;
}

const BEFORE = { primary: 'a', standby: 'b' };

/** `drill` is what follows name and steady state. */
export function stage(drill: string, request: Partial<DrillRequest> = {}): Stage {
  const dir = mkdtempSync(join(tmpdir(), 'drill-fall-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'drill.yml');
  writeFileSync(join(dir, 'book.yml'), 'name: x\nplays: []\n');
  writeFileSync(
    file,
    `name: x\nsteady: { that: 'cluster.primaries.size() == 1', within: 1s, holds: 100ms }\n${drill}`,
  );
  tell(dir, 'a', 'primary');
  tell(dir, 'b', 'standby');
  writeFileSync(join(dir, 'hosts.yml'), standInInventory(dir, 'p'));
  const inventory = loadInventory(join(dir, 'hosts.yml'));
  const cluster = inventory.clusters.get('p');
  if (cluster === undefined) throw new Error('no pair');
  const down = join(dir, 'down');
  const hosts = new Map<string, Host>(inventory.hosts);
  const a = hosts.get('a');
  const vars = { power_off_command: `touch ${down}`, power_on_command: `rm ${down}` };
  if (a) hosts.set('a', { ...a, vars: { ...a.vars, ...vars } });
  const contexts = contextsOf({ ...inventory, hosts }, new Redactor(), new AbortController().signal);
  onTestFinished(() => contexts.close());
  const interrupt = new AbortController();
  const own = join(dir, 'drills/own');
  mkdirSync(own, { recursive: true });
  const all: DrillRequest = {
    ...{ drill: loadDrill(file), id: 'own', cluster, inventory: 'hosts.yml', operator: 'me', hosts },
    ...{ on: contexts.on, interrupt: interrupt.signal, dir: own, tell: () => undefined },
    open: () => {
      throw new Error('nobody watches');
    },
    lock: () => Promise.resolve(() => Promise.resolve()),
    run: () => Promise.resolve({ id: 'r', exitCode: 0 }),
    ...request,
  };
  const course = startCourse(all);
  return {
    ...{ dir, course, interrupt, down },
    async fall(beforeHeal = () => Promise.resolve()) {
      try {
        await fallAndRise(course, BEFORE, pairLock(all), beforeHeal);
      } catch (error) {
        if (!(error instanceof DrillbookError)) throw error;
        course.endBy(error);
      }
      return course.end({ before: BEFORE, measures: undefined, written: undefined });
    },
  };
}
