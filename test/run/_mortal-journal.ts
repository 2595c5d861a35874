import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { Happening } from '../../engine/core/event.ts';
import * as real from '../../engine/run/journal/journal.ts';
import type { Journal } from '../../engine/run/journal/journal.ts';

export * from '../../engine/run/journal/journal.ts';

/**
 * `before 17`: right before the 17th event; `after 17`: as soon as it is durable; `after each FILE 3`: at every third of
 * the events that were not met in another part of the run, which FILE remembers.
 */
const [side, which = '', file = '', every = '1'] = (process.env['DRILLBOOK_DIES'] ?? '').split(' ');

const die = (): never => {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('dead');
};

/** What another part of the run says otherwise: a run that dies before it says so would never get past it. */
const VOLATILE = ['durationMs', 'boot', 'tokens', 'value', 'result'];

/** What makes an event the same one in another part of the run. */
const keyOf = (happening: Happening): string =>
  JSON.stringify(happening, (name, value: unknown) => {
    if (VOLATILE.includes(name)) return undefined;
    // `copied in 18m37s`
    return name === 'message' && typeof value === 'string' ? value.replaceAll(/\d+/g, '#') : value;
  });

/** True for an event to die at that no process has met yet; `file` has those that were, one a line. */
function isNew(happening: Happening): boolean {
  const key = keyOf(happening);
  const met = existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
  if (met.includes(key)) return false;
  appendFileSync(file, `${key}\n`);
  return met.length % Number(every) === 0;
}

function mortal(journal: Journal): Journal {
  const isDue = (happening: Happening): boolean =>
    which === 'each' ? isNew(happening) : journal.count + 1 === Number(which);
  return {
    ...journal,
    get count() {
      return journal.count;
    },
    append(happening, hidden) {
      if (!isDue(happening)) return journal.append(happening, hidden);
      if (side === 'before') return die();
      const event = journal.append(happening, hidden);
      // Asked for first, it is told first: before who waits for the same.
      void journal.commit().then(die);
      return event;
    },
  };
}

export const createJournal: typeof real.createJournal = (...given) => mortal(real.createJournal(...given));
export const openJournal: typeof real.openJournal = (...given) => mortal(real.openJournal(...given));
