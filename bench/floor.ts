/*
 * The floor: the same 30 tasks with the same effects, by the least that can do them: one ssh2 connection a host,
 * TCP_NODELAY, one persistent sh, one exchange a task. No checks of what was asked, no journal, no view.
 * node bench/floor.ts FLEET.json
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import ssh2, { type ClientChannel } from 'ssh2';

interface FloorFleet {
  readonly hosts: readonly {
    readonly name: string;
    readonly address: string;
    readonly vars: Readonly<Record<string, string | number>>;
  }[];
  readonly identityFile: string;
  readonly knownHosts: string;
}

const MARK = 'b64f1e0a';

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const file = (path: string, content: string): string => {
  const sum = createHash('sha256').update(content).digest('hex');
  return `set -- $(sha256sum ${quote(path)} 2>/dev/null); if [ "$1" != ${sum} ]; then printf %s ${quote(content)} >${quote(`${path}.new`)} && chmod 0644 ${quote(`${path}.new`)} && mv ${quote(`${path}.new`)} ${quote(path)}; fi`;
};

const line = (path: string, text: string): string =>
  `grep -qxF ${quote(text)} ${quote(path)} 2>/dev/null || printf '%s\\n' ${quote(text)} >>${quote(path)}`;

const directory = (path: string, mode: string): string =>
  `[ "$(stat -c %a ${quote(path)} 2>/dev/null)" = ${mode} ] || { mkdir -p ${quote(path)} && chmod ${mode} ${quote(path)}; }`;

function tasks(
  vars: Readonly<Record<string, string | number>>,
  template: string,
  small: readonly string[],
): readonly string[] {
  const root = String(vars['root']);
  const rendered = template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => String(vars[name]));
  return [
    directory(`${root}/etc`, '755'),
    directory(`${root}/data`, '750'),
    'true',
    'cat /etc/hostname',
    'id -u',
    'uname -r',
    'test -d /etc',
    'getconf PAGESIZE',
    'ls /etc/apt',
    'df -P /',
    'cat /proc/loadavg',
    'echo done',
    ...[1, 2, 3, 4, 5, 6].map((number) => file(`${root}/etc/my-${number}.cnf`, rendered)),
    ...small.map((content, index) => file(`${root}/etc/small-${index + 1}.txt`, content)),
    'test -f /etc/passwd && echo yes',
    'test -d /proc && echo yes',
    'test -r /etc/group && echo yes',
    'test -w /tmp && echo yes',
    'test -x /bin/sh && echo yes',
    line(`${root}/etc/lines.conf`, 'first added line'),
    line(`${root}/etc/lines.conf`, 'second added line'),
    `[ "$(readlink ${quote(`${root}/my.cnf`)})" = ${quote(`${root}/etc/my-1.cnf`)} ] || ln -sfn ${quote(`${root}/etc/my-1.cnf`)} ${quote(`${root}/my.cnf`)}`,
  ];
}

function exchange(channel: ClientChannel, script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const onData = (piece: Buffer): void => {
      output += piece.toString();
      const end = /b64f1e0a (\d+)\n$/.exec(output);
      if (end === null) return;
      channel.off('data', onData);
      if (end[1] === '0') resolve(output.slice(0, end.index));
      else reject(new Error(`${script.slice(0, 200)}: exit code ${end[1]}: ${output}`));
    };
    channel.on('data', onData);
    channel.write(`{ ${script}\n} </dev/null 2>&1; printf '${MARK} %d\\n' $?\n`);
  });
}

async function onHost(
  host: FloorFleet['hosts'][number],
  fleet: FloorFleet,
  key: Buffer,
  knownKey: Buffer,
): Promise<void> {
  const sock = new Socket();
  sock.setNoDelay(true);
  sock.connect(22, host.address);
  const client = new ssh2.Client();
  const channel = await new Promise<ClientChannel>((resolve, reject) => {
    client.once('error', reject);
    client.once('ready', () =>
      client.exec('sh', (error, opened) => (error ? reject(error) : resolve(opened))),
    );
    client.connect({
      sock,
      username: 'root',
      privateKey: key,
      authHandler: ['publickey'],
      hostVerifier: (offered: Buffer) => offered.equals(knownKey),
    });
  });
  const [template = '', ...small] = [
    'templates/my.cnf',
    ...[1, 2, 3, 4].map((number) => `files/small-${number}.txt`),
  ].map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'));
  const checks = /^test .* echo yes$/;
  for (const script of tasks(host.vars, template, small)) {
    const output = await exchange(channel, script);
    if (checks.test(script) && output !== 'yes\n') throw new Error(`${host.name}: ${script}: said ${output}`);
  }
  client.end();
}

const fleet = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as FloorFleet;
const key = readFileSync(fleet.identityFile);
const knownKey = Buffer.from(readFileSync(fleet.knownHosts, 'utf8').split(/\s/)[2] ?? '', 'base64');
const waiting = [...fleet.hosts];
// More at a time would only queue for the processors.
await Promise.all(
  Array.from({ length: 64 }, async () => {
    for (let host = waiting.shift(); host !== undefined; host = waiting.shift())
      await onHost(host, fleet, key, knownKey);
  }),
);
