import { watchOf } from '../cluster/stacks.ts';
import { DrillbookError } from '../core/error.ts';
import type { Cluster } from '../core/host.ts';
import { withServer } from '../modules/mysql/_connect.ts';
import { pause } from '../run/waiting.ts';
import { adminOf, booksOf, catchUp, closeBooks, openBooks, readBooks } from './books.ts';
import type { Books } from './books.ts';
import { startCourse } from './course.ts';
import type { Before, Course, DrillRequest } from './course.ts';
import { fallAndRise } from './fall.ts';
import { startReader, startWriter } from './ledger.ts';
import type { Written } from './ledger.ts';
import { measure } from './measures.ts';
import type { Measures, Observed } from './measures.ts';
import type { DrillRecord } from './record.ts';
import { look } from './stage.ts';
import { pairLock } from './pair-lock.ts';
import type { PairLock } from './pair-lock.ts';
import { steadyAfter, steadyBefore } from './states.ts';
import { watchNode } from './watch.ts';

/** How long a look at the ledger may keep a fault from being healed. */
const GLANCE_MS = 3000;

/** What came of it, and every single write for whoever wants to count again. */
export interface Performed {
  readonly record: DrillRecord;
  readonly written: Written | undefined;
}

/** Carries a drill out: steady state, fault, what happens by itself, playbooks for the rest, steady state, figures. */
export async function perform(request: DrillRequest): Promise<Performed> {
  const course = startCourse(request);
  const { cluster, hosts, interrupt } = request;
  const endWatch = new AbortController();
  const watching: Promise<void>[] = [];
  let before: Before | undefined;
  let audit: Audit | undefined;
  let books: Books | undefined;
  const lock = pairLock(request);
  try {
    course.begin('steady before');
    await lock.take();
    before = await steadyBefore(course);
    const watch = await watchOf(cluster);
    for (const node of cluster.nodes) {
      const host = hosts.get(node);
      if (host) watching.push(watchNode(host, watch, request.open, course.now, endWatch.signal, course.see));
    }
    books = booksOf(request.drill, cluster);
    audit = await underWrites(course, before, books, lock);
    if (interrupt.aborted) {
      course.worsen('interrupted', 'interrupted; the fault is healed');
      await steadyAfter(course, new AbortController().signal);
    }
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
    course.endBy(error);
  } finally {
    endWatch.abort();
    await Promise.allSettled(watching);
    if (books) await putAway(course, books);
    await lock.release();
  }
  return {
    record: course.end({ before, measures: audit?.measures, written: audit?.written }),
    written: audit?.written,
  };
}

interface Audit {
  readonly measures: Measures | undefined;
  readonly written: Written;
}

/** The part of the drill in which clients write. */
async function underWrites(course: Course, before: Before, books: Books, lock: PairLock): Promise<Audit> {
  const { request, now } = course;
  const { drill, cluster, on, interrupt } = request;
  const { ledger } = drill;
  const vip = ledger.vip ?? vipOf(cluster);
  const primary = on(before.primary);
  const login = await openBooks(books, primary, on(before.standby), { vip, from: ledger.from });
  const [row] = await withServer(primary, adminOf(books), ({ rows }) => rows('SELECT @@hostname AS server'));
  course.begin('writing');
  const fromMs = now();
  const timing = { timeoutMs: ledger.timeout, now };
  const writer = startWriter(login, { rate: ledger.rate, connections: ledger.connections, ...timing });
  const page = ledger.page?.replaceAll('{{vip}}', vip);
  const reader = page === undefined ? undefined : startReader(page, timing);
  let faultMs: number | undefined;
  const thereBefore: Observed['thereBefore'][number][] = [];
  const glance = async (): Promise<void> => {
    const askedMs = now();
    const rows = await readBooks(login, GLANCE_MS).catch(() => undefined);
    if (rows) thereBefore.push({ askedMs, rows });
  };
  try {
    await pause(ledger.before, interrupt);
    if (writer.count() === 0 && !interrupt.aborted) throw noWrite(vip, writer.written);
    if (!interrupt.aborted) faultMs = await fallAndRise(course, before, lock, glance);
    await pause(ledger.after, interrupt);
  } finally {
    await Promise.all([writer.stop(), reader?.stop()]);
  }
  const { written } = writer;
  if (faultMs === undefined || interrupt.aborted) return { measures: undefined, written };
  const whole = { fromMs, untilMs: now() };
  await awaitRows(course, books);
  course.begin('audit');
  const there = await readBooks(login);
  const server = String(row?.['server']);
  const { seen } = course;
  const pages = reader?.looks;
  const found = { written, there, thereBefore, pages, seen, whole, faultMs };
  const measures = measure({ ...found, primary: before.primary, server });
  return { measures, written };
}

/** What cannot come any more is missing, and counted so. */
async function awaitRows(course: Course, books: Books): Promise<void> {
  try {
    const primary = (await look(course)).nodes.find(({ role }) => role === 'primary')?.name;
    if (primary !== undefined) await catchUp(books, course.request.on(primary));
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
  }
}

/** Takes the ledger's table and account away. */
async function putAway(course: Course, books: Books): Promise<void> {
  try {
    const status = await look(course);
    const primary = status.nodes.find(({ role }) => role === 'primary')?.name;
    if (primary === undefined) throw new DrillbookError('doubt.books', 'there is no one primary');
    await closeBooks(books, course.request.on(primary));
  } catch (error) {
    if (!(error instanceof DrillbookError)) throw error;
    course.worsen('in_doubt', `the ledger's table and account are left in the database: ${error.message}`);
  }
}

function noWrite(vip: string, { entries, reaches }: Written): DrillbookError {
  const why = [...reaches, ...entries].find(({ error }) => error !== undefined)?.error ?? 'no answer';
  return new DrillbookError(
    'guard.ledger',
    `no write through the VIP ${vip} was acknowledged, so nothing was done: ${why}`,
    { hint: 'can this machine reach the VIP and the port of the database?' },
  );
}

function vipOf({ name, settings }: Cluster): string {
  const { vips, vip } = settings as {
    readonly vips?: readonly { readonly address: string }[];
    readonly vip?: { readonly address: string };
  };
  const found = vips?.[0]?.address ?? vip?.address;
  if (found !== undefined) return found;
  throw new DrillbookError('usage.drill', `cluster ${name} has no VIP to write through`);
}
