import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { drillbook } from '../cli/_drillbook.ts';
import { isFull } from '../_full.ts';
import { freshLab } from '../lab/_fresh.ts';
import { dying, kept, report } from '../run/_matrix.ts';
import { codeOf, playbook } from './_playbook.ts';

/** As often a run is killed on its way. */
const POINTS = 10;
const BUILD = join(import.meta.dirname, '../../playbooks/kwdb/build.yml');
const NODES = ['dbk1', 'dbk2'];
let lab: Lab;
let folder: string;

beforeAll(async () => {
  if (!isFull) return;
  folder = await mkdtemp(join(tmpdir(), 'kwdb-killed-'));
  lab = await freshLab({
    ...{ name: 'matrix-kwdb', stack: 'kwdb', database: 'mariadb' },
    ...{ drbd: true, installed: true, dataMb: 64 },
  });
}, 600_000);
afterAll(async () => {
  await lab?.down();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}, 60_000);

/** What the build leaves on a node; neither secrets nor what is another thing each time. */
const DIGEST = `
cat /etc/corosync/corosync.conf /etc/hosts
cat /etc/drbd.d/global_common.conf /etc/drbd.d/drbd3.res | grep -v shared-secret
for scope in crm_config rsc_defaults op_defaults resources constraints; do cibadmin --query --scope $scope 2>/dev/null; done
crm_mon --one-shot --inactive --exclude=all --include=nodes,resources,failures | grep -v '^Status of pacemakerd'
for unit in corosync pacemaker pcsd kaiwudb drbd multipathd; do
  echo "$unit $(systemctl is-enabled $unit 2>&1) $(systemctl is-active $unit)"
done
drbdadm role drbd3; drbdadm cstate drbd3; drbdadm dstate drbd3
findmnt -rno SOURCE,FSTYPE /var/lib/kwdb
find /opt/kwdb /etc/kaiwudb /var/lib/kwdb -maxdepth 2 -printf '%p %U:%G %m\\n' | sort
id kaiwudb
kwbase version | head -n 1
openssl x509 -in /etc/kaiwudb/certs/node.crt -noout -ext subjectAltName
openssl verify -CAfile /etc/kaiwudb/certs/ca.crt /etc/kaiwudb/certs/node.crt
ls -A /etc/drbd.d /etc/corosync /etc/pacemaker
ls -d /var/lib/drillbook/jobs/* 2>/dev/null | wc -l
`;
/** The same on both nodes, and another thing each time. */
const SHARED = 'sha256sum /etc/corosync/authkey /etc/pacemaker/authkey /etc/kaiwudb/certs/*';

const onNodes = async (script: string): Promise<string[]> =>
  Promise.all(
    NODES.map(async (name) => {
      const { stdout, stderr } = await lab.ssh(name, 'sh -s', { stdin: script });
      return (stdout + stderr).replaceAll(/ubd-[0-9a-f]{8}/g, 'ubd-DISK');
    }),
  );

/** The pair as it comes to rest. */
async function pairNow(): Promise<unknown> {
  const { stdout } = await drillbook(['status', '-i', lab.inventory, '--output', 'json']);
  const {
    lock: _,
    obligations: __,
    ...status
  } = JSON.parse(stdout) as ClusterStatus & Record<string, unknown>;
  const shared = new Set(await onNodes(SHARED));
  expect(shared.size).toBe(1);
  return { status, nodes: await onNodes(DIGEST) };
}

async function bare(): Promise<void> {
  for (const node of NODES) await lab.powerOff(node);
  for (const node of NODES) await lab.replaceNode(node);
  for (const node of NODES) await lab.powerOn(node);
}

test.runIf(isFull)(
  `a pair that is built by a run that is killed ${POINTS} times is as one that was built in one go`,
  async () => {
    const state = join(folder, 'straight');
    const built = await playbook('kwdb/build', lab.inventory, { state });
    expect(built.code, built.told).toBe(0);
    const goal = await pairNow();
    const events = kept(state).length;
    for (const side of ['after', 'before'] as const) {
      await bare();
      const file = join(folder, side);
      const every = Math.ceil(events / POINTS);
      const dead = join(folder, `died-${side}`);
      const args = [BUILD, '-i', lab.inventory];
      const code = await codeOf(args, { DRILLBOOK_STATE: dead });
      const way = () => ({ dies: `${side} each ${file} ${every}` });
      const deaths = await dying([...args, '--yes', code], dead, way);
      report(`kwdb/build: ${events} events, died ${side} ${deaths} of them`);
      expect(deaths).toBeGreaterThanOrEqual(POINTS);
      expect(await pairNow()).toEqual(goal);
      const again = await playbook('kwdb/build', lab.inventory, { state });
      expect([again.code, again.changed]).toEqual([0, []]);
    }
  },
  3_600_000,
);
