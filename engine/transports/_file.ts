import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { DrillbookError, StepFailed } from '../core/error.ts';
import type { Become, Transport } from '../core/host.ts';
import type { Session } from './_session.ts';

/** Up to this size a content travels as an argument: printf is a builtin, and it is one exchange. */
const INLINE_BYTES = 8 * 1024;

// $1 path, $2 name of the temporary file, $3 umask, $4 mode or empty, $5 bytes expected or `inline`, $6 content.
// The temporary file is new (noclobber: O_EXCL) and is born with its mode by the umask alone, which saves a chmod, or,
// where it wants x or special bits (writing takes those away), private until its content is whole. A content cut short by a lost connection is never moved in place.
const PUT_SCRIPT = `
if [ -d "$1" ]; then echo "it is a directory" >&2; exit 1; fi
case $1 in */*) temp=\${1%/*}/$2 ;; *) temp=$2 ;; esac
umask "$3"
set -C
true >"$temp" || exit 1
set +C
if [ "$5" = inline ]; then
  # cat says what went wrong (no space left), which the printf of dash does not.
  printf %s "$6" 2>/dev/null >"$temp" || printf %s "$6" | cat >"$temp"
else
  cat >"$temp" && size=$(wc -c <"$temp") && [ "$size" -eq "$5" ]
fi || { rm -f "$temp"; exit 1; }
if [ -n "$4" ]; then chmod "$4" "$temp" || { rm -f "$temp"; exit 1; }; fi
mv -f "$temp" "$1" || { rm -f "$temp"; exit 1; }
`;

/** The reason in what a tool of the host said, without the tool's name and place. */
const reason = (stderr: string): string => {
  const line = stderr.trim().split('\n').at(-1) ?? '';
  if (/no space left|disk quota/i.test(line))
    return /quota/i.test(line) ? 'the disk quota is used up' : 'the disk is full (No space left on device)';
  const shell =
    /(No such file or directory|Directory nonexistent|Permission denied|Read-only file system|nonexistent directory|Input\/output error)/i.exec(
      line,
    );
  return shell?.[1] ?? (line === '' ? 'it did not arrive whole' : line);
};

function failure(session: Session, verb: string, path: string, stderr: Buffer): StepFailed {
  const said = session.redactor.text(stderr.toString());
  return new StepFailed(`cannot ${verb} ${path} on ${session.carrier.host}: ${reason(said)}`, {
    path,
    stderr: said,
  });
}

/** A path that no tool takes for an option. */
function operand(path: string): string {
  if (path.includes('\0')) throw new DrillbookError('step.nul', 'a path cannot hold a NUL byte');
  return path.startsWith('-') ? `./${path}` : path;
}

/** Replaces a file atomically; on any failure the old one is untouched and no temporary file is left. */
export async function writeFile(
  session: Session,
  path: string,
  content: Uint8Array,
  { mode = 0o600, become, guards }: NonNullable<Parameters<Transport['put']>[2]> = {},
): Promise<void> {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const isInline = bytes.length <= INLINE_BYTES && isUtf8(bytes) && !bytes.includes(0);
  const umask = (0o666 & ~mode).toString(8);
  const args = [
    operand(path),
    `.drillbook-${randomBytes(8).toString('hex')}`,
    mode & 0o7111 ? '077' : umask,
    mode & 0o7111 ? mode.toString(8) : '',
    isInline ? 'inline' : String(bytes.length),
    ...(isInline ? [bytes.toString()] : []),
  ];
  const { code, stderr } = await session.exchange(PUT_SCRIPT, {
    args,
    become,
    guards,
    ...(isInline ? {} : { stdin: bytes }),
  });
  if (code !== 0) throw failure(session, 'write', path, stderr);
}

/** A file's bytes. */
export async function readFile(
  session: Session,
  path: string,
  become: Become | undefined,
): Promise<Uint8Array> {
  const { code, stdout, stderr } = await session.exchange('exec cat "$1"', { args: [operand(path)], become });
  if (code !== 0) throw failure(session, 'read', path, stderr);
  return stdout;
}
