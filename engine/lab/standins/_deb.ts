import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { LabStack } from '../state.ts';
import { EPOCH_SECONDS, debArch, filesBelow, finish } from './_stage.ts';
import { products } from './products.ts';

const run = promisify(execFile);

export interface Package {
  readonly stack: LabStack;
  /** Without the product's prefix. */
  readonly name: string;
  readonly release: string;
}

async function writeControl(
  staged: string,
  sources: string,
  { stack, name, release }: Package,
): Promise<void> {
  const fields = await readFile(join(sources, 'packages', name, 'control'), 'utf8');
  const own = [
    `Package: ${products[stack].prefix}-${name}`,
    `Version: ${release}`,
    `Architecture: ${debArch()}`,
    'Maintainer: drillbook lab <lab@drillbook.invalid>',
    'Section: admin',
    'Priority: optional',
  ];
  await writeFile(join(staged, 'DEBIAN', 'control'), `${own.join('\n')}\n${fields}`);
}

async function stage(staged: string, wanted: Package): Promise<void> {
  const sources = join(import.meta.dirname, wanted.stack);
  await cp(join(sources, 'packages', wanted.name, 'root'), staged, { recursive: true });
  await mkdir(join(staged, 'DEBIAN'), { recursive: true });
  const unit = (await filesBelow(staged)).find((file) => file.endsWith('.service'));
  await writeControl(staged, sources, wanted);
  for (const script of await readdir(join(sources, 'maintainer')).catch(() => [])) {
    await cp(join(sources, 'maintainer', script), join(staged, 'DEBIAN', script));
    await chmod(join(staged, 'DEBIAN', script), 0o755);
  }
  const values = { VERSION: wanted.release, NAME: wanted.name };
  await finish(staged, { ...values, UNIT: unit === undefined ? '' : basename(unit) });
}

/** Makes a package in `outDir`, by way of `work`; gives its path. */
export async function makeDeb(work: string, outDir: string, wanted: Package): Promise<string> {
  const { stack, name, release } = wanted;
  const staged = join(work, `${name}-${release}`);
  await stage(staged, wanted);
  const deb = join(outDir, `${products[stack].prefix}-${name}_${release}_${debArch()}.deb`);
  await run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z6', '--build', staged, deb], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(EPOCH_SECONDS) },
  });
  return deb;
}
