#!/usr/bin/env node
// The entry is JavaScript so that the compile cache is on before the first TypeScript file is read, and so that an
// older Node can hand over to the one that came with `npm ci` instead of failing on a file type it does not know.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

const NODE_WANTED = 24;

if (Number(process.versions.node.split('.')[0]) < NODE_WANTED) {
  const own = join(import.meta.dirname, '../../node_modules/node/bin/node');
  if (!existsSync(own)) {
    process.stderr.write(
      `drillbook needs Node ${NODE_WANTED}; this is ${process.version}. \`npm ci\` in the checkout brings it.\n`,
    );
    process.exit(2);
  }
  const child = spawn(own, [import.meta.filename, ...process.argv.slice(2)], { stdio: 'inherit' });
  // What it means the child decides, and we wait for it. Ctrl-C reaches both of us, and must not count twice: a second
  // SIGINT would stop at once. SIGHUP never does.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill('SIGHUP'));
  const [status] = await once(child, 'exit');
  process.exit(status ?? 1);
}

// A folder of our own: in the shared one under /tmp another user could leave code for us to run.
const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
nodeModule.enableCompileCache(join(cache, 'drillbook', 'compiled'));
// Building zod's fast validators costs more than one run of this program gains by them.
globalThis.__zod_globalConfig = { jitless: true };
const { begin } = await import('./main.ts');
await begin();
