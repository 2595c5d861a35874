import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { arch, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

/** The releases that are built; the Catalog's schema differs between them. */
export const releases = ['8.0-9', '8.0-10'] as const;

/** The packages of one release, without `dbackup3-`. */
export const packages = [
  'common',
  'backupd',
  'nginx',
  'keepalived',
  'licensed',
  'infokist',
  'agent',
  'agent-mysql',
  'stored',
] as const;

const sources = import.meta.dirname;
// The date of the user guide that the stand-ins follow; any fixed one makes the build repeatable.
const epochSeconds = Date.UTC(2025, 0, 1) / 1000;
const run = promisify(execFile);

const debArch = (): string => (arch() === 'x64' ? 'amd64' : arch());

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.map((entry) => join(entry.parentPath, entry.name)).sort();
}

async function substitute(file: string, values: Readonly<Record<string, string>>): Promise<void> {
  const text = await readFile(file, 'utf8');
  const filled = text.replace(/@([A-Z]+)@/g, (found, name: string) => values[name] ?? found);
  if (filled !== text) await writeFile(file, filled);
}

async function writeControl(staged: string, name: string, release: string): Promise<void> {
  const fields = await readFile(join(sources, 'packages', name, 'control'), 'utf8');
  const own = [
    `Package: dbackup3-${name}`,
    `Version: ${release}`,
    `Architecture: ${debArch()}`,
    'Maintainer: drillbook lab <lab@drillbook.invalid>',
    'Section: admin',
    'Priority: optional',
  ];
  await writeFile(join(staged, 'DEBIAN', 'control'), `${own.join('\n')}\n${fields}`);
}

async function settle(path: string): Promise<void> {
  const found = await stat(path);
  // Modes of a checkout depend on the umask of whoever made it.
  await chmod(path, found.isDirectory() || found.mode & 0o100 ? 0o755 : 0o644);
  await utimes(path, epochSeconds, epochSeconds);
}

async function stage(staged: string, name: string, release: string): Promise<void> {
  await cp(join(sources, 'packages', name, 'root'), staged, { recursive: true });
  await mkdir(join(staged, 'DEBIAN'), { recursive: true });
  const unit = (await filesBelow(staged)).find((file) => file.endsWith('.service'));
  await writeControl(staged, name, release);
  for (const script of ['postinst', 'prerm', 'postrm']) {
    await cp(join(sources, 'maintainer', script), join(staged, 'DEBIAN', script));
    await chmod(join(staged, 'DEBIAN', script), 0o755);
  }
  const values = { VERSION: release, NAME: name, UNIT: unit === undefined ? '' : basename(unit) };
  const all = await filesBelow(staged);
  for (const path of all) if ((await stat(path)).isFile()) await substitute(path, values);
  for (const path of [...all, staged]) await settle(path);
}

async function buildOne(work: string, outDir: string, name: string, release: string): Promise<string> {
  const staged = join(work, `${name}-${release}`);
  await stage(staged, name, release);
  const deb = join(outDir, `dbackup3-${name}_${release}_${debArch()}.deb`);
  await run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z6', '--build', staged, deb], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds) },
  });
  return deb;
}

/** Builds every stand-in package of every release into `outDir`; gives their paths. Same sources, same bytes. */
export async function buildStandins(outDir: string): Promise<string[]> {
  await mkdir(outDir, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'standins-'));
  try {
    const wanted = releases.flatMap((release) => packages.map((name) => ({ name, release })));
    return await Promise.all(wanted.map(({ name, release }) => buildOne(work, outDir, name, release)));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
