import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createConnection, type Connection } from 'mysql2/promise';
import { type Lab } from '../../engine/lab/lab.ts';
import { freshLab } from './_fresh.ts';
import { buildStandins } from '../../engine/lab/standins/build.ts';

const run = promisify(execFile);

export const HACTL = '/opt/scutech/dbackup3/bin/hactl';
export const PASSWORD = String.raw`p#a"s\w x`;
export type Database = 'mariadb' | 'mysql';

export interface Pair {
  readonly lab: Lab;
  /** The VIPs, one in each heartbeat network. */
  readonly vips: readonly [string, string];
  /** Standard output; throws with all that was said when the command fails. */
  sh(node: string, script: string): Promise<string>;
  /** Answers prompts on a terminal of the node, each when it shows; gives all that the terminal showed. */
  answer(node: string, command: string, answers: readonly (readonly [string, string])[]): Promise<string>;
  /** `hactl status` as a map. */
  status(node: string): Promise<ReadonlyMap<string, string>>;
}

// Each prompt is waited for before it is answered, as an operator does.
const EXPECT = `
import json, os, pty, sys
command, answers = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp('sh', ['sh', '-c', command])
shown = sent = b''
while True:
    try:
        chunk = os.read(terminal, 4096)
    except OSError:
        break
    shown += chunk
    sent += chunk
    if answers and answers[0][0].encode() in sent:
        os.write(terminal, answers.pop(0)[1].encode() + b'\\n')
        sent = b''
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** Words for \`sh\`, each taken as it is. */
export const quoted = (...words: readonly string[]): string =>
  words.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');

function pairOf(lab: Lab, vips: readonly [string, string]): Pair {
  async function sh(node: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await lab.ssh(node, 'sh -e', { stdin: script });
    if (code !== 0) throw new Error(`${node}: exit ${code}: ${stdout}${stderr}`);
    return stdout;
  }
  return {
    lab,
    vips,
    sh,
    answer: (node, command, answers) =>
      sh(node, `python3 -c ${quoted(EXPECT, JSON.stringify([command, answers]))}`),
    async status(node) {
      const lines = (await sh(node, `${HACTL} status`)).trim().split('\n').slice(1);
      return new Map(lines.map((line) => [line.split(': ')[0] ?? '', line.split(': ').slice(1).join(': ')]));
    },
  };
}

const NODES = ['dbk1', 'dbk2'] as const;

/** Installs a release; licensed on the first node alone, as the user guide says. */
export async function install(pair: Pair, release: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'standins-test-'));
  try {
    await buildStandins('dbackup', folder);
    const { stdout } = await run('sh', ['-c', 'tar -C "$0" -c . | base64', folder], { maxBuffer: 1e8 });
    for (const node of NODES) {
      await pair.lab.ssh(node, 'mkdir -p /root/debs && base64 -d | tar -C /root/debs -x', { stdin: stdout });
      const left = node === 'dbk1' ? '' : '! -name "*licensed*"';
      await pair.sh(node, `dpkg -i $(find /root/debs -name "*_${release}_*" ${left})`);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

const CLIENT = 'sql=$(command -v mariadb || command -v mysql)';

async function configureServer(pair: Pair, node: string, number: number): Promise<void> {
  await pair.sh(
    node,
    `systemctl stop dbackup3-backupd
    conf=/etc/mysql/mysql.conf.d/zz-test.cnf
    ! [ -d /etc/mysql/mariadb.conf.d ] || conf=/etc/mysql/mariadb.conf.d/zz-test.cnf
    cat > $conf <<END
[mysqld]
server-id=${number}
bind-address=0.0.0.0
binlog-format=mixed
log_bin=/var/lib/mysql/mysql${number}-bin
replicate-do-db=dbackup3
END
    systemctl restart mariadb 2>/dev/null || systemctl restart mysql
    ${CLIENT}
    $sql -e "CREATE USER repl@'%' IDENTIFIED BY 'replication'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'"`,
  );
}

async function replicate(pair: Pair, database: Database, node: string, source: string): Promise<void> {
  const show = database === 'mariadb' ? 'SHOW MASTER STATUS' : 'SHOW BINARY LOG STATUS';
  const [file = '', position = ''] = (await pair.sh(source, `${CLIENT}; $sql -Ne '${show}'`)).split(/\s+/);
  const words = database === 'mariadb' ? 'MASTER TO MASTER' : 'REPLICATION SOURCE TO SOURCE';
  const prefix = words.split(' ').at(-1) ?? '';
  const options = [
    `${prefix}_HOST='${source}'`,
    `${prefix}_USER='repl', ${prefix}_PASSWORD='replication'`,
    `${prefix}_LOG_FILE='${file}', ${prefix}_LOG_POS=${position}, ${prefix}_CONNECT_RETRY=1`,
    database === 'mariadb' ? 'MASTER_USE_GTID=no' : 'GET_SOURCE_PUBLIC_KEY=1',
  ];
  const start = database === 'mariadb' ? 'START SLAVE' : 'START REPLICA';
  await pair.sh(
    node,
    `${CLIENT}; $sql -e "CHANGE ${words.replace(/ \w+$/, '')} ${options.join(', ')}; ${start}"`,
  );
}

const keepalivedConf = (own: string, peer: string, vips: readonly [string, string]): string => `
global_defs {
  vrrp_version 3
  script_user root
  enable_script_security
}
vrrp_track_file hactl {
  file /run/dbackup3/priority
  weight 1
}
vrrp_script dbackup {
  script "/opt/scutech/dbackup3/bin/ha-check"
  interval 1
  timeout 3
  fall 3
  rise 1
}
vrrp_instance dbackup {
  state BACKUP
  interface eth1
  virtual_router_id 51
  priority 100
  advert_int 0.2
  garp_master_refresh 1
  unicast_src_ip ${own}
  unicast_peer {
    ${peer}
  }
  virtual_ipaddress {
    ${vips[0]}/24 dev eth1
    ${vips[1]}/24 dev eth2
  }
  track_file {
    hactl
  }
  track_script {
    dbackup
  }
  notify_master "${HACTL} approve MASTER"
  notify_backup "${HACTL} approve BACKUP"
  notify_fault "${HACTL} approve FAULT"
  notify_stop "${HACTL} approve STOP"
}
`;

/** From two nodes with a configured Catalog to a cluster: replication both ways, ha.info, keepalived; failover off. */
export async function buildCluster(pair: Pair, database: Database): Promise<void> {
  await configureServer(pair, 'dbk1', 234);
  await configureServer(pair, 'dbk2', 236);
  // dbk2 replays how dbk1's Catalog came about, so that the two are the same when replication starts.
  await pair.sh('dbk2', `${CLIENT}; $sql -e 'DROP DATABASE dbackup3'`);
  const dump = await pair.sh(
    'dbk1',
    `dump=$(command -v mariadb-dump || command -v mysqldump); $dump --databases dbackup3 2>/dev/null`,
  );
  await pair.lab.ssh('dbk2', `$(command -v mariadb || command -v mysql)`, { stdin: dump });
  await replicate(pair, database, 'dbk1', 'dbk2');
  await replicate(pair, database, 'dbk2', 'dbk1');
  const networks = pair.vips.map((vip) => vip.replace(/\d+$/, ''));
  const addresses = (last: number): string[] => networks.map((network) => `${network}${last}`);
  for (const [index, node] of NODES.entries()) {
    const info = {
      uuid: '6ec5a9d4-5c0b-4c5e-9d8e-000000000001',
      name: 'dbk',
      node,
      primary: 'dbk1',
      nodes: NODES.map((name, at) => ({ name, heartbeats: addresses(11 + at) })),
      heartbeat_interval: 1,
      vips: pair.vips.map((address, at) => ({ address, prefix: 24, interface: `eth${at + 1}` })),
    };
    const [own = '', peer = ''] = [addresses(11 + index)[0], addresses(12 - index)[0]];
    await pair.sh(
      node,
      `printf %s ${quoted(JSON.stringify(info))} > /var/opt/scutech/dbackup3/agent/ha.info
      printf %s ${quoted(keepalivedConf(own, peer, pair.vips))} > /etc/keepalived/keepalived.conf
      keepalived -t
      systemctl restart dbackup3-agent
      systemctl start dbackup3-backupd
      systemctl enable --now dbackup3-keepalived`,
    );
  }
}

/** Two nodes of a lab of this name, nothing installed yet. */
export async function upPair(name: string, database: Database): Promise<Pair> {
  const lab = await freshLab({ name, database });
  const found = await lab.ssh('dbk1', "ip -4 -o address | awk '/eth[12]/ {print $4}'");
  const [first = '', second = ''] = found.stdout.split('\n').map((line) => line.replace(/\d+\/.*/, '100'));
  return pairOf(lab, [first, second]);
}

/**
 * An administrator who writes straight into the Catalog through the VIP, whom read_only does not stop on MariaDB.
 * `stop` gives the names of the rows that the server has acknowledged.
 */
export function administrator(address: string, prefix: string): { stop(): Promise<readonly string[]> } {
  const login = {
    host: address,
    user: 'catalog',
    password: PASSWORD,
    database: 'dbackup3',
    connectTimeout: 500,
  };
  const insert = "INSERT INTO jobs (name, node, created_at) VALUES (?, @@hostname, '')";
  const acknowledged: string[] = [];
  let isStopped = false;
  const work = (async () => {
    let connection: Connection | undefined;
    for (let n = 1; !isStopped; n++) {
      try {
        connection ??= await createConnection(login);
        // A server that has lost the VIP never answers.
        await connection.query({ sql: insert, values: [`${prefix}${n}`], timeout: 500 });
        acknowledged.push(`${prefix}${n}`);
      } catch {
        connection?.destroy();
        connection = undefined;
        await delay(5);
      }
    }
    connection?.destroy();
  })();
  return {
    async stop() {
      isStopped = true;
      await work;
      return acknowledged;
    },
  };
}
