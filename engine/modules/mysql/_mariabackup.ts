import { randomBytes } from 'node:crypto';
import { StepFailed } from '../../core/error.ts';
import type { ShResult } from '../../core/host.ts';
import type { Context } from '../../core/module.ts';
import { optionText } from './_client.ts';
import { toldProgress } from './_copy.ts';
import { addressTowards } from './_dump.ts';
import { sourceOf } from './_replicate.ts';
import type { BinlogPosition } from './_server.ts';
import type { Login } from './_settings.ts';
import { socketOf } from './_settings.ts';
import { ADOPT, LEFTOVERS, PRIVATE } from './_swap.ts';
import type { Survey } from './_survey.ts';

/**
 * Of socat: a peer whose power is gone says no more. Without an answer in 25 s where nothing is under way, and in 60 s where
 * something is (TCP_USER_TIMEOUT, tcp(7)), the copy is given up: at its end it holds commits up.
 */
const ALIVE = 'keepalive,keepidle=10,keepintvl=5,keepcnt=3,setsockopt-int=6:18:60000';

/**
 * Both ends have the word in `$at/word`: who listens there without it, in the place of ours, has nothing of the data (openssl-enc(1)).
 */
const CIPHER = 'openssl enc -aes-256-ctr -pbkdf2 -pass "file:$at/word"';
const KEEP_WORD = `(umask 077; printf '%s\\n' "$word" >"$at/word") || exit`;

/** mariadb-backup holds every table open. */
const MANY_FILES = 'ulimit -n "$(ulimit -Hn)" 2>/dev/null';

/**
 * On the source: its server's files as a stream, to who listens on the replica. `$1` socket, `$2` user; `$3` address and
 * `$4` port there. Standard input: word that lets us in, password.
 */
const SEND = `IFS= read -r word; IFS= read -r password
socket=$1 user=$2 to=$3 port=$4
case $to in *:*) to="[$to]" ;; esac
${MANY_FILES}
${PRIVATE}
trap 'rm -rf "$at"' EXIT
trap 'exit 143' HUP INT TERM
(umask 077; { printf '[mariadb-backup]\\nuser="%s"\\n' "$user"; [ -z "$password" ] || printf 'password="%s"\\n' "$password"; } >"$at/options.cnf")
${KEEP_WORD}
mkdir "$at/state" || exit
echo 1 >"$at/code"
{ printf '%s\\n' "$word"
  mariadb-backup --defaults-extra-file="$at/options.cnf" --backup --stream=mbstream --socket="$socket" \\
    --target-dir="$at/state" 2>"$at/said"
  echo $? >"$at/code"; } | ${CIPHER} | socat -u STDIN "TCP:$to:$port,retry=30,interval=1,${ALIVE}"
sent=$?
saved=$(cat "$at/code")
[ "$saved" -eq 0 ] || { grep -i 'error' "$at/said" >&2 || tail -n 3 "$at/said" >&2; exit "$saved"; }
exit $sent`;

/**
 * On the replica: takes the stream of `$2`, on our address `$1` and port `$3`, into a new folder beside the data directory
 * `$4`. Leftovers of earlier copies go. Standard input: word without which nobody is let in. Standard output: bytes so far.
 */
const RECEIVE = `IFS= read -r word
own=$1 from=$2 port=$3 data=$4 follower=
umask 077
rm -rf ${LEFTOVERS} && mkdir "$data.drillbook-incoming" || exit
case $own in *:*) own="[$own]" from="[$from]/128" ;; *) from="$from/32" ;; esac
${PRIVATE}
${KEEP_WORD}
isWhole=
follow() { while sleep 1 && kill -0 $$; do while read -r key bytes; do [ "$key" != rchar: ] || echo "$bytes"; done <"/proc/$(cat "$at/loader")/io"; done; }
trap '[ -n "$isWhole" ] || rm -rf "$data.drillbook-incoming"; rm -rf "$at"; [ -z "$follower" ] || kill "$follower"' EXIT
trap 'exit 143' HUP INT TERM
follow 2>/dev/null & follower=$!
socat -u "TCP-LISTEN:$port,bind=$own,range=$from,reuseaddr,accept-timeout=30,${ALIVE}" STDOUT 2>"$at/said" | ${CIPHER} -d 2>/dev/null |
  { IFS= read -r said && [ "$said" = "$word" ] || { echo "nothing came from $2 on port $port" >&2; exit 1; }
    sh -c 'echo $$ >"$0"; exec "$@"' "$at/loader" mbstream -x -C "$data.drillbook-incoming"; } 2>"$at/why"
code=$?
[ $code -eq 0 ] || { cat "$at/said" >&2; grep Errcode "$at/why" >&2 || cat "$at/why" >&2; exit $code; }
isWhole=1`;

/**
 * On the replica: what was received becomes a data directory, whole under the name `$1.drillbook-whole`. Standard output:
 * where in the source's log it stands. What is whole already, or in its place, is asked alone.
 */
const PREPARE = `data=$1 new=$1.drillbook-incoming from=$1.drillbook-whole
${ADOPT}
${MANY_FILES}
if [ -d "$new" ]; then
  trap 'rm -rf "$new"' EXIT
  trap 'exit 143' HUP INT TERM
  [ -e "$new/xtrabackup_info" ] || [ -e "$new/mariadb_backup_info" ] || { echo 'the copy came in without its end' >&2; exit 1; }
  said=$(mariadb-backup --prepare --target-dir="$new" 2>&1) || { printf '%s\\n' "$said" | tail -n 3 >&2; exit 1; }
  adopt "$new" || exit
fi
[ -d "$from" ] || [ ! -d "$data.drillbook-old" ] || from=$data
for file in xtrabackup_binlog_info mariadb_backup_binlog_info; do
  [ ! -e "$from/$file" ] || read -r log position rest <"$from/$file"
done
[ -n "$log" ] || { echo 'the copy does not tell where in the log of its source it stands' >&2; exit 1; }
echo "$log $position"`;

const last = ({ stderr }: ShResult): string => stderr.trim().split('\n').at(-1) ?? '';

/** Where `PREPARE` says that the copy stands. */
export function positionIn(text: string): BinlogPosition | undefined {
  const [, file, position] = /^(\S+) (\d+)$/m.exec(text) ?? [];
  return file === undefined ? undefined : { file, position: Number(position) };
}

/**
 * A whole copy of the source's data beside the replica's own, which is not touched; where in the source's log it stands. The
 * stream goes to whom it is for: listener and sender know each other's address, and a word made for this one copy.
 */
export async function copyByBackup(
  ctx: Context,
  there: Context,
  surveys: { readonly here: Survey; readonly there: Survey },
  { admin, port }: { readonly admin: Login; readonly port: number },
): Promise<BinlogPosition> {
  const { host } = sourceOf(ctx);
  const way = await ctx.keep('way', async () => {
    const own = await addressTowards(ctx, host);
    return { own, from: await addressTowards(there, own), word: randomBytes(18).toString('base64url') };
  });
  ctx.secret(way.word);
  const what = `copying the files of ${host}`;
  const transfer = async (): Promise<readonly [received: ShResult, sent: ShResult]> => {
    return Promise.all([
      ctx.job(RECEIVE, {
        args: [way.own, way.from, String(port), surveys.here.data],
        stdin: `${way.word}\n`,
        isRepeatable: true,
        onOutput: toldProgress(ctx, what, surveys.there.usedBytes),
      }),
      there.job(SEND, {
        args: [socketOf(there.cluster, admin), optionText(admin.user), way.own, String(port)],
        stdin: `${way.word}\n${optionText(admin.password)}\n`,
        isRepeatable: true,
      }),
    ]);
  };
  const failed = (why: string, said: ShResult): StepFailed =>
    new StepFailed(
      `Copying the files of ${host} to ${ctx.host.name} failed: ${why}`,
      { code: said.code, stderr: said.stderr },
      { hint: `nothing of ${ctx.host.name} was touched; mend the cause and run the resync again` },
    );
  // Once more: where one end was lost with its node, the other has ended without it.
  for (const time of ['first', 'second'] as const) {
    const [received, sent] = await transfer();
    // Kept, for an end may be lost that was known: jobs are told apart by their order.
    const isWhole = await ctx.keep(`${time} transfer`, () =>
      Promise.resolve(received.code === 0 && sent.code === 0),
    );
    if (isWhole) break;
    if (time === 'first') continue;
    const why = [received, sent].filter(({ code }) => code !== 0).map(last);
    throw failed(why.join('; '), received.code === 0 ? sent : received);
  }
  ctx.progress('preparing the copy');
  const prepared = await ctx.job(PREPARE, { args: [surveys.here.data], isRepeatable: true });
  const position = positionIn(prepared.stdout);
  if (prepared.code !== 0 || position === undefined) throw failed(last(prepared), prepared);
  return position;
}
