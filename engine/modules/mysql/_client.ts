import type { Context } from '../../core/module.ts';
import type { Row } from './_connect.ts';
import type { Login } from './_settings.ts';

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

/** A password as it stands between quotes in an option file. */
export const optionText = (password: string | undefined): string =>
  (password ?? '').replaceAll('\\', '\\\\').replaceAll('"', '\\"');

const SCRIPT = `client=$(command -v mariadb || command -v mysql) || { echo "ERROR 9999: no mysql client" >&2; exit 127; }
exec "$client" --no-defaults --xml --default-character-set=utf8mb4 --connect-timeout=20 -S "$1" -u "$2"`;

/** Runs statements by the node's own client as the user become; `errno` and the server's words where it refused. */
export async function clientRows(
  ctx: Context,
  login: Login,
  statements: readonly string[],
): Promise<{ readonly rows: readonly Row[] } | { readonly errno: number; readonly message: string }> {
  const socket = 'socketPath' in login.endpoint ? login.endpoint.socketPath : '';
  // A statement's end is a delimiter that no statement holds, so that triggers and procedures pass whole.
  const end = '$$drillbook$$';
  const stdin = `delimiter ${end}\n${statements.map((text) => `${text}\n${end}\n`).join('')}`;
  const { code, stdout, stderr } = await ctx.sh(SCRIPT, { args: [socket, login.user], stdin });
  if (code === 0) return { rows: parseXml(stdout) };
  const match = /ERROR (\d+)(?: \([^)]*\))?(?: at line \d+)?: ([\s\S]*)/.exec(stderr);
  return { errno: Number(match?.[1] ?? 0), message: (match?.[2] ?? stderr).trim() };
}
