import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadModule, moduleNames } from '../../engine/modules/registry.ts';
import { isFull } from '../_full.ts';
import { openBench } from './_context.ts';
import type { Bench } from './_context.ts';
import { CANARY, HUGE, REFUSED, textsOf, told, VALUES } from './_hostile.ts';
import { CODE, localSettings, placeIn, settingFor } from './_settings.ts';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
  await mkdir(join(bench.dir, 'names'));
  await writeFile(join(bench.dir, 'src.txt'), 'text\n');
  await writeFile(join(bench.dir, 't.hbs'), 'text\n');
  await writeFile(join(bench.dir, 's.sh'), '#!/bin/sh\nprintf %s "$1"\n');
});
afterAll(() => bench.close());

const places = (): string[] => [
  process.cwd(),
  homedir(),
  '/',
  tmpdir(),
  '/var/tmp',
  bench.dir,
  join(bench.dir, 'names'),
];
const canaries = (): string[] =>
  places()
    .map((dir) => join(dir, CANARY))
    .filter((path) => existsSync(path));

const short = (value: string): string => JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);

const local = localSettings('');
const LOCAL = Object.keys(local).filter((name) => moduleNames().includes(name));

test.each(LOCAL)(
  '%s: whatever is in a text, nothing of it is run, and it arrives or is refused',
  async (name) => {
    const module = await loadModule(name);
    const settings = localSettings(bench.dir)[name] ?? [];
    const paths = name === 'set' ? [['value']] : textsOf(module.params);
    const wrong: string[] = [];
    for (const path of paths) {
      const key = path.join('.');
      const setting = settingFor(settings, path);
      if (CODE.has(`${name}.${key}`) || setting === undefined) continue;
      const isSeen = setting.arrived?.[key] !== undefined;
      for (const value of [...VALUES, ...(isSeen || isFull ? [HUGE] : []), ...REFUSED]) {
        const text = setting.wrap?.[key]?.(value, bench.dir) ?? value;
        const blame = (why: string): void => void wrong.push(`${name}.${key} = ${short(value)}: ${why}`);
        // What is there from the value before is not taken for this one.
        for (const file of ['copy', 'line', 'block', 'link', 'answer', 'rendered'])
          await rm(join(bench.dir, file), { force: true, recursive: true });
        const ended = await told(bench, name, setting.params, placeIn(setting, path), text);
        if (canaries().length > 0) {
          blame('it was run');
          for (const file of canaries()) await rm(file);
        }
        if (ended.isBug) blame(ended.reason);
        if (REFUSED.includes(value) && !/^\w+: `[\w.*]+` holds/.test(ended.reason))
          blame(`not refused: ${ended.reason}`);
        if (/\n {4}at /.test(ended.reason) || ended.reason.length > 3000)
          blame(`no clean sentence: ${ended.reason.slice(0, 300)}`);
        const look = setting.arrived?.[key];
        if (ended.outcome === 'failed' || look === undefined || value === '') continue;
        const there = await look(ended.result, bench.dir, value).catch((error: unknown) => String(error));
        if (there !== value) blame(`what arrived is ${short(String(there))}`);
      }
    }
    expect(wrong).toEqual([]);
  },
  180_000,
);
