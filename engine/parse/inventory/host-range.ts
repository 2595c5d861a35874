import { isIP } from 'node:net';
import { DrillbookError } from '../../core/error.ts';

/** What a host pattern of Ansible's stands for. */
export interface Expanded {
  readonly names: readonly string[];
  readonly port: number | undefined;
}

const RANGE = String.raw`\[(?:[a-z]:[a-z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]`;
const LABEL = String.raw`(?:[\p{L}\p{N}_]|${RANGE})(?:[\p{L}\p{N}_-]|${RANGE})*(?<![_-])`;
const HOST_NAME = new RegExp(String.raw`^${LABEL}(?:\.${LABEL})*$`, 'iu');
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const MOST = 20_000;

const wrong = (message: string, hint?: string): DrillbookError =>
  new DrillbookError('parse.inventory', message, { hint });

/** `name:port` and `[address]:port`; anything else is a name as a whole. */
function splitPort(pattern: string): { readonly host: string; readonly port: number | undefined } {
  const parts = /^\[(.+)\]:([0-9]+)$/.exec(pattern) ?? /^((?:[^:[\]]|\[[^\]]*\])*):([0-9]+)$/.exec(pattern);
  const [, host = '', port = ''] = parts ?? [];
  const isHost = HOST_NAME.test(host) || isIP(host) !== 0;
  return isHost ? { host, port: Number(port) } : { host: pattern, port: undefined };
}

function* span(first: number, last: number, step: number): Generator<number> {
  for (let i = first; i <= last; i += step) yield i;
}

/** The words of `[01:10]`, `[a:c]` and `[0:10:2]`; the last one is among them. */
function wordsOf(range: string): string[] {
  const [first = '', last = '', every = '1', surplus] = range.split(':');
  if (!range.includes(':') || surplus !== undefined)
    throw wrong(`[${range}]: a range is written [begin:end] or [begin:end:step]`);
  if (last === '') throw wrong(`[${range}]: a range needs an end`);
  const begin = first === '' ? '0' : first;
  const step = Number(every);
  if (!/^\d+$/.test(every) || step < 1) throw wrong(`[${range}]: the step is a whole number from 1`);
  const isPadded = begin.length > 1 && begin.startsWith('0');
  if (isPadded && begin.length !== last.length)
    throw wrong(`[${range}]: with leading zeros, begin and end have the same length`);
  const [a, b] = [LETTERS.indexOf(begin), LETTERS.indexOf(last)];
  if (a >= 0 && b >= 0) {
    if (a > b) throw wrong(`[${range}]: begin comes after end`);
    return [...span(a, b, step)].map((i) => LETTERS[i] ?? '');
  }
  if (!/^\d+$/.test(begin) || !/^\d+$/.test(last))
    throw wrong(`[${range}]: a range is of numbers, or of single letters`);
  if ((Number(last) - Number(begin)) / step > MOST)
    throw wrong(`[${range}]: more than ${MOST} hosts`, 'is there a digit too many?');
  const width = isPadded ? begin.length : 0;
  return [...span(Number(begin), Number(last), step)].map((i) => String(i).padStart(width, '0'));
}

function expand(text: string): string[] {
  const parts = /^([^[]*)\[([^\]]*)\](.*)$/s.exec(text);
  if (parts === null) {
    if (text.includes('[')) throw wrong(`\`${text}\`: a range without its closing bracket`);
    return [text];
  }
  const [, head = '', range = '', tail = ''] = parts;
  const tails = expand(tail);
  const words = wordsOf(range);
  if (words.length * tails.length > MOST)
    throw wrong(`\`${text}\`: more than ${MOST} hosts`, 'is there a digit too many?');
  return words.flatMap((word) => tails.map((rest) => `${head}${word}${rest}`));
}

/** The hosts that a name with ranges stands for (`node[01:10]`, `db[a:c]-[0:8:2]:2222`), and the port behind it. */
export function expandHosts(pattern: string): Expanded {
  const { host, port } = splitPort(pattern);
  return { names: host.includes('[') ? expand(host) : [host], port };
}
