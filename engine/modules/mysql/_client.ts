import type { ShOptions, ShResult } from '../../core/host.ts';
import type { Row } from './_connect.ts';
import type { Login } from './_settings.ts';

/** Beyond the server's own numbers: the node has no client. */
export const NO_CLIENT = 9999;

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

const unescape = (text: string): string =>
  text.replace(/&(lt|gt|amp|quot|apos);/g, (_, name: string) => ENTITIES[name] ?? '');

/** The last result set of `mysql --xml`; every value a string, NULL null. */
export function parseXml(text: string): readonly Row[] {
  const set = text.slice(text.lastIndexOf('<resultset'));
  return [...set.matchAll(/<row>([\s\S]*?)<\/row>/g)].map(([, row = '']) =>
    Object.fromEntries(
      [...row.matchAll(/<field name="([^"]*)"(?: xsi:nil="true" \/>|>([\s\S]*?)<\/field>)/g)].map(
        ([, name = '', value]) => [unescape(name), value === undefined ? null : unescape(value)],
      ),
    ),
  );
}

/** A name or password as it stands between quotes in an option file, on one line (MySQL manual, 6.2.2.2). */
export const optionText = (text: string | undefined): string =>
  (text ?? '')
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r');

/**
 * The password's line comes first on standard input; the client reads it from a pipe, as an option file. In binary mode
 * the client takes no word of a statement for a command of its own.
 */
const SCRIPT = `IFS= read -r password
client=$(command -v mariadb || command -v mysql) || { echo "ERROR ${NO_CLIENT}: no client" >&2; exit 127; }
set -- --xml --binary-mode --comments --default-character-set=utf8mb4 --max-allowed-packet=1G --connect-timeout=20 \\
  --loose-get-server-public-key --loose-skip-ssl-verify-server-cert "$@"
[ -n "$password" ] || exec "$client" --no-defaults "$@"
exec 4<&0
printf '[client]\\npassword="%s"\\n' "$password" | { exec 3<&0 0<&4 4<&-; exec "$client" --defaults-file=/dev/fd/3 "$@"; }`;

/** Runs statements by the node's own client as the user become; `errno` and the server's words where it refused. */
export async function clientRows(
  run: (script: string, options: ShOptions) => Promise<ShResult>,
  login: Login,
  statements: readonly string[],
): Promise<{ readonly rows: readonly Row[] } | { readonly errno: number; readonly message: string }> {
  const { endpoint, user } = login;
  const way =
    'socketPath' in endpoint
      ? [`--socket=${endpoint.socketPath}`]
      : ['--protocol=tcp', `--host=${endpoint.host}`, `--port=${endpoint.port}`];
  // A statement's end is a delimiter that no statement holds, so that triggers and procedures pass whole.
  const end = '$$drillbook$$';
  const told = `delimiter ${end}\n${statements.map((text) => `${text}\n${end}\n`).join('')}`;
  const stdin = `${optionText(login.password)}\n${told}`;
  const { code, stdout, stderr } = await run(SCRIPT, { args: [...way, `--user=${user}`], stdin });
  if (code === 0) return { rows: parseXml(stdout) };
  const match = /ERROR (\d+)(?: \([^)]*\))?(?: at line \d+)?: ([\s\S]*)/.exec(stderr);
  return { errno: Number(match?.[1] ?? 0), message: (match?.[2] ?? stderr).trim() };
}
