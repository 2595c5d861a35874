import { program } from '../../engine/cli/main.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Called {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** The program in this process: what it lets escape fails the test. One at a time. */
export async function call(args: readonly string[]): Promise<Called> {
  const streams = [process.stdout, process.stderr] as const;
  const before = streams.map((stream) => stream.write.bind(stream));
  const said = ['', ''];
  const listening = new Set(SIGNALS.flatMap((signal) => process.listeners(signal)));
  for (const [i, stream] of streams.entries())
    stream.write = (piece: string | Uint8Array): boolean => {
      said[i] += String(piece);
      return true;
    };
  const startedAt = performance.now();
  try {
    const code = await program(args);
    const [stdout = '', stderr = ''] = said;
    return { code, stdout, stderr, ms: performance.now() - startedAt };
  } finally {
    // The worker of the tests is to end at once.
    for (const signal of SIGNALS)
      for (const listener of process.listeners(signal))
        if (!listening.has(listener)) process.off(signal, listener);
    for (const [i, stream] of streams.entries()) stream.write = before[i] as typeof stream.write;
  }
}

/** What no error of the operator's may look like. */
export const CRASH =
  /a bug of the engine|^\s+at .+:\d+:\d+\)?$|\[object Object\]|\bundefined\b|RangeError|TypeError/m;
