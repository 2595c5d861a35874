import { spawn } from 'node:child_process';
import { lstatSync, openSync, readdirSync, readFileSync, readSync, closeSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

interface Form {
  readonly canary: string;
  readonly text: string;
  readonly bytes: Buffer;
}

/** What is looked for, in all the forms that a program may have written it in. */
export interface Canaries {
  /** By their first four bytes. */
  readonly forms: ReadonlyMap<number, readonly Form[]>;
  /** 1 for each third and fourth byte that begins one: most places are passed over by it. */
  readonly hot: Uint8Array;
}

export interface Found {
  readonly canary: string;
  readonly where: string;
  readonly form: string;
}

const json = (text: string): string => JSON.stringify(text).slice(1, -1);

function* formsOf(text: string): Generator<string> {
  yield text;
  yield json(text);
  yield json(json(text));
  yield json(text).replace(
    /[^\x00-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  yield encodeURIComponent(text);
  yield encodeURIComponent(text).replaceAll('%20', '+');
  yield text.replaceAll("'", `'\\''`);
  yield text.replaceAll("'", "''");
  yield text.replaceAll('\\', '\\\\').replaceAll("'", "''");
  yield text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
  yield text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
  yield text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
  yield Buffer.from(text).toString('hex');
  yield Buffer.from(text).toString('hex').toUpperCase();
  for (const encoding of ['base64', 'base64url'] as const) {
    for (const before of ['', 'x', 'xx']) {
      const encoded = Buffer.from(before + text)
        .toString(encoding)
        .replace(/=+$/, '');
      // Without what depends on the bytes around it.
      const whole = encoded.slice(
        before === '' ? 0 : 4,
        Buffer.byteLength(before + text) % 3 === 0 ? undefined : -3,
      );
      if (whole.length >= 6) yield whole;
    }
  }
}

export function canariesOf(values: Readonly<Record<string, string>>): Canaries {
  const all = new Map<number, Form[]>();
  const hot = new Uint8Array(65_536);
  for (const [canary, value] of Object.entries(values)) {
    // Of several lines any one is a leak.
    const texts = value.includes('\n') ? [value, ...value.split('\n').filter(Boolean)] : [value];
    for (const text of new Set(texts.flatMap((one) => [...formsOf(one)]))) {
      const bytes = Buffer.from(text);
      const start = bytes.readUInt32BE();
      hot[start & 0xffff] = 1;
      all.set(start, [...(all.get(start) ?? []), { canary, text, bytes }]);
    }
  }
  return { forms: all, hot };
}

export function findIn(bytes: Buffer, where: string, { forms: all, hot }: Canaries): Found[] {
  const found = new Map<Form, Found>();
  let last4 = 0;
  for (let at = 0; at < bytes.length; at++) {
    last4 = ((last4 << 8) | (bytes[at] ?? 0)) >>> 0;
    if (hot[last4 & 0xffff] === 0 || at < 3) continue;
    const forms = all.get(last4) ?? [];
    for (const form of forms) {
      const start = at - 3;
      if (
        !found.has(form) &&
        bytes.compare(
          form.bytes,
          0,
          form.bytes.length,
          start,
          Math.min(start + form.bytes.length, bytes.length),
        ) === 0
      )
        found.set(form, { canary: form.canary, where, form: form.text });
    }
  }
  return [...found.values()];
}

/** The parts of a ZIP file, inflated: a workbook hides its text otherwise. */
function* unzipped(bytes: Buffer): Generator<Buffer> {
  for (
    let at = bytes.indexOf('PK\x01\x02', 0, 'latin1');
    at >= 0;
    at = bytes.indexOf('PK\x01\x02', at + 4, 'latin1')
  ) {
    const [size, local] = [bytes.readUInt32LE(at + 20), bytes.readUInt32LE(at + 42)];
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const part = bytes.subarray(start, start + size);
    yield bytes.readUInt16LE(at + 10) === 0 ? part : inflateRawSync(part);
  }
}

const PIECE = 8 * 1024 * 1024;
const OVERLAP = 4096;

function findInFile(path: string, canaries: Canaries): Found[] {
  const found: Found[] = [];
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(PIECE);
    for (let at = 0; ; at += PIECE - OVERLAP) {
      const count = readSync(file, buffer, 0, PIECE, at);
      const bytes = buffer.subarray(0, count);
      found.push(...findIn(bytes, path, canaries));
      if (at === 0 && bytes.subarray(0, 4).toString('latin1') === 'PK\x03\x04')
        for (const part of unzipped(bytes)) found.push(...findIn(part, `${path} (inflated)`, canaries));
      if (count < PIECE) return found;
    }
  } finally {
    closeSync(file);
  }
}

/** Every file and link under a folder that was changed since then, names too. */
export function findUnder(
  folder: string,
  canaries: Canaries,
  sinceMs = 0,
  isSpared = (_path: string) => false,
): Found[] {
  const found: Found[] = [];
  const visit = (path: string): void => {
    if (isSpared(path)) return;
    try {
      const stat = lstatSync(path);
      found.push(...findIn(Buffer.from(path), `the name of ${path}`, canaries));
      if (stat.isSymbolicLink()) found.push(...findIn(Buffer.from(readlinkSync(path)), path, canaries));
      else if (stat.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
      else if (stat.isFile() && stat.ctimeMs >= sinceMs) found.push(...findInFile(path, canaries));
    } catch (error) {
      // Others' files come and go.
      if (!['ENOENT', 'ENXIO', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  };
  visit(folder);
  return found;
}

export interface Watch {
  /** What was seen so far. */
  readonly found: Found[];
  /** How many processes were looked at. */
  readonly count: number;
  stop(): Promise<void>;
}

/** Looks at the command lines of all processes of this machine, and so of its containers, again and again. */
export function watchProcesses(canaries: Canaries): Watch {
  const found: Found[] = [];
  let count = 0;
  const look = (): void => {
    for (const pid of readdirSync('/proc')) {
      if (!/^\d/.test(pid)) continue;
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`);
        count++;
        found.push(
          ...findIn(line, `process ${pid}: ${line.toString().replaceAll('\0', ' ').slice(0, 300)}`, canaries),
        );
      } catch {
        // It has ended.
      }
    }
  };
  const timer = setInterval(look, 100);
  return {
    found,
    get count() {
      return count;
    },
    stop() {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}

/** Every program that `pid` and its children begin, with all arguments, however short it lives. */
export async function traceExecs(pid: number, canaries: Canaries): Promise<Watch> {
  const args = [
    '-f',
    '-q',
    '-e',
    'trace=execve',
    '-e',
    'signal=none',
    '-s',
    '65536',
    '-xx',
    '-p',
    String(pid),
  ];
  const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const found: Found[] = [];
  let count = 0;
  let rest = '';
  const hear = (line: string): void => {
    if (!line.includes('execve(')) return;
    count++;
    const words = [...line.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = '']) =>
      Buffer.from(hex.replaceAll('\\x', ''), 'hex').toString(),
    );
    found.push(...findIn(Buffer.from(words.join('\0')), `begun: ${words.join(' ').slice(0, 300)}`, canaries));
  };
  child.stderr.on('data', (piece: Buffer) => {
    const lines = (rest + piece.toString()).split('\n');
    rest = lines.pop() ?? '';
    lines.forEach(hear);
  });
  const isTraced = (): boolean => !/TracerPid:\t0\n/.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  while (!isTraced()) {
    if (child.exitCode !== null) throw new Error(`strace cannot attach: ${rest}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return {
    found,
    get count() {
      return count;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGINT');
      await ended;
    },
  };
}
