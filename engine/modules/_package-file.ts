import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { DrillbookError, StepFailed } from '../core/error.ts';
import type { Context } from '../core/module.ts';

/** What a package file says of itself. */
export interface PackageFile {
  readonly file: string;
  readonly kind: 'deb' | 'rpm';
  readonly name: string;
  readonly version: string;
  readonly arch: string;
}

const run = promisify(execFile);

/** Debian policy 5.6: NAME_VERSION_ARCH.deb; the epoch is not in it, so dpkg-deb is asked first where there is one. */
async function readDeb(file: string): Promise<PackageFile> {
  const fields = await run('dpkg-deb', [
    '-W',
    '--showformat',
    '${Package}\n${Version}\n${Architecture}',
    file,
  ]).then(
    ({ stdout }) => stdout.split('\n'),
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT')
        throw new StepFailed(`${file} is no Debian package: ${error.message.trim().split('\n').at(-1)}`);
      return basename(file, '.deb').replaceAll('%3a', ':').split('_');
    },
  );
  const [name = '', version = '', arch = ''] = fields;
  if (arch === '')
    throw new StepFailed(`${file}: not named NAME_VERSION_ARCHITECTURE.deb, and there is no dpkg-deb to ask`);
  return { file, kind: 'deb', name, version, arch };
}

const TAGS = { name: 1000, version: 1001, release: 1002, epoch: 1003, arch: 1022 } as const;

/** The header of an RPM: lead of 96 bytes, signature, header; its index is not compressed (rpm.org, "RPM file format"). */
export async function readRpm(file: string): Promise<PackageFile> {
  const handle = await open(file);
  try {
    const at = async (position: number, length: number): Promise<Buffer> =>
      (await handle.read(Buffer.alloc(length), 0, length, position)).buffer;
    const sizes = async (position: number): Promise<{ count: number; bytes: number }> => {
      const head = await at(position, 16);
      if (head.readUInt32BE(0) >>> 8 !== 0x8eade8) throw new StepFailed(`${file} is no RPM package`);
      return { count: head.readUInt32BE(8), bytes: head.readUInt32BE(12) };
    };
    const signature = await sizes(96);
    const start = 96 + 16 + signature.count * 16 + Math.ceil(signature.bytes / 8) * 8;
    const { count, bytes } = await sizes(start);
    const index = await at(start + 16, count * 16);
    const store = await at(start + 16 + count * 16, bytes);
    const value = (tag: number): string | undefined => {
      for (let i = 0; i < count; i++) {
        if (index.readUInt32BE(i * 16) !== tag) continue;
        const offset = index.readUInt32BE(i * 16 + 8);
        if (index.readUInt32BE(i * 16 + 4) === 4) return String(store.readUInt32BE(offset));
        return store.toString('utf8', offset, store.indexOf(0, offset));
      }
      return undefined;
    };
    const epoch = value(TAGS.epoch);
    const version = `${value(TAGS.version)}-${value(TAGS.release)}`;
    return {
      file,
      kind: 'rpm',
      name: value(TAGS.name) ?? '',
      version: epoch === undefined || epoch === '0' ? version : `${epoch}:${version}`,
      arch: value(TAGS.arch) ?? '',
    };
  } finally {
    await handle.close();
  }
}

const MAGIC = /[*?[{]/;

/** The files of the jump host that a name or glob means; none is an error. */
function expand(ctx: Context, pattern: string): string[] {
  if (!MAGIC.test(pattern)) return [ctx.local(pattern)];
  const parts = pattern.split('/');
  const at = parts.findIndex((part) => MAGIC.test(part));
  const fixed = parts.slice(0, at).join('/');
  const root = pattern.startsWith('/') ? fixed || '/' : ctx.local(fixed || '.');
  const found = globSync(parts.slice(at).join('/'), { cwd: root }).sort();
  if (found.length > 0) return found.map((name) => join(root, name));
  throw new DrillbookError('plan.file', `no file on this machine matches \`${pattern}\``, {
    hint: `looked in ${root}`,
  });
}

/** Reads what the files are. Two versions of one package are an error. */
export async function packageFiles(
  ctx: Context,
  patterns: readonly string[],
): Promise<readonly PackageFile[]> {
  const files = [...new Set(patterns.flatMap((pattern) => expand(ctx, pattern)))];
  const packages = await Promise.all(
    files.map((file) => {
      if (file.endsWith('.deb')) return readDeb(file);
      if (file.endsWith('.rpm')) return readRpm(file);
      throw new DrillbookError('plan.file', `${file} is no .deb and no .rpm file`);
    }),
  );
  for (const [i, one] of packages.entries()) {
    const other = packages.slice(0, i).find(({ name, arch }) => name === one.name && arch === one.arch);
    if (other !== undefined) {
      throw new DrillbookError(
        'plan.file',
        `two files of package ${one.name}: ${basename(other.file)} and ${basename(one.file)}`,
        {
          hint: 'name the version in `files`',
        },
      );
    }
  }
  return packages;
}
