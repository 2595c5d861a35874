import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterStatus } from '../../engine/core/cluster.ts';
import type { Lab } from '../../engine/lab/lab.ts';
import { isFull } from '../_full.ts';
import { freshLab } from '../lab/_fresh.ts';
import { dying, kept, report } from '../run/_matrix.ts';
import { codeOf, playbook, statusOf } from './_playbook.ts';

/** As often a run is killed on its way. */
const POINTS = 10;
const NODES = ['dbk1', 'dbk2'];

/** What is another thing in each stack: its resource, mount point, units and releases, and what else its build leaves. */
const STACKS = [
  {
    stack: 'kwdb',
    resource: 'drbd3',
    directory: '/var/lib/kwdb',
    units: 'kaiwudb',
    version: '2.2.1',
    digest: `find /opt/kwdb /etc/kaiwudb /var/lib/kwdb -maxdepth 2 -printf '%p %U:%G %m\\n' | sort
id kaiwudb
kwbase version | head -n 1
openssl x509 -in /etc/kaiwudb/certs/node.crt -noout -ext subjectAltName
openssl verify -CAfile /etc/kaiwudb/certs/ca.crt /etc/kaiwudb/certs/node.crt`,
    shared: '/etc/kaiwudb/certs/*',
  },
  {
    stack: 'usphere',
    resource: 'r0',
    directory: '/var/lib/mysql-share',
    units: 'mysql tomcat corosync-qdevice',
    version: '1.0-2',
    digest: `cat /etc/usphere/vms.conf /etc/usphere/initiators
find /etc/usphere /var/lib/mysql-share -maxdepth 1 -printf '%p %U:%G %m\\n' | sort
usphere-version
corosync-quorumtool -s | grep -E '^(Quorate|Total votes)'`,
    shared: '/etc/usphere/initiators',
  },
] as const;

describe.runIf(isFull).each(STACKS)(
  '$stack',
  ({ stack, resource, directory, units, version, digest, shared }) => {
    let lab: Lab;
    let folder: string;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), `${stack}-killed-`));
      lab = await freshLab({
        ...{ name: `matrix-${stack}`, stack, database: 'mariadb' },
        ...{ drbd: true, installed: true, dataMb: 256, arbiter: stack === 'usphere' },
      });
    });
    afterAll(async () => {
      await lab?.down();
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    }, 60_000);

    /** What the build leaves on a node; neither secrets nor what is another thing each time. */
    const DIGEST = `
cat /etc/corosync/corosync.conf /etc/hosts
cat /etc/drbd.d/global_common.conf /etc/drbd.d/${resource}.res | grep -v shared-secret
for scope in crm_config rsc_defaults op_defaults resources constraints; do cibadmin --query --scope $scope 2>/dev/null; done
crm_mon --one-shot --inactive --exclude=all --include=nodes,resources,failures | grep -v '^Status of pacemakerd'
for unit in corosync pacemaker pcsd drbd multipathd ${units}; do
  echo "$unit $(systemctl is-enabled $unit 2>&1) $(systemctl is-active $unit)"
done
drbdadm role ${resource}; drbdadm cstate ${resource}; drbdadm dstate ${resource}
findmnt -rno SOURCE,FSTYPE ${directory}
${digest}
ls -A /etc/drbd.d /etc/corosync /etc/pacemaker
ls -d /var/lib/drillbook/jobs/* 2>/dev/null | wc -l
`;
    /** The same on both nodes, and another thing each time. */
    const SHARED = `sha256sum /etc/corosync/authkey /etc/pacemaker/authkey ${shared}`;

    const onNodes = async (script: string): Promise<string[]> =>
      Promise.all(
        NODES.map(async (name) => {
          const { stdout, stderr } = await lab.ssh(name, 'sh -s', { stdin: script });
          return (stdout + stderr).replaceAll(/ubd-[0-9a-f]{8}/g, 'ubd-DISK').replaceAll(/iqn\.\S+/g, 'iqn');
        }),
      );

    /** The pair as it comes to rest. */
    async function pairNow(): Promise<unknown> {
      const read: ClusterStatus & Record<string, unknown> = { ...(await statusOf(lab.inventory)) };
      const { lock: _, obligations: __, ...status } = read;
      const ofBoth = new Set(await onNodes(SHARED));
      expect(ofBoth.size).toBe(1);
      return { status, nodes: await onNodes(DIGEST) };
    }

    async function bare(): Promise<void> {
      for (const node of NODES) await lab.powerOff(node);
      for (const node of NODES) await lab.replaceNode(node);
      for (const node of NODES) await lab.powerOn(node);
    }

    const argsOf = (book: string, extra: readonly string[]): string[] => [
      join(import.meta.dirname, `../../playbooks/${stack}/${book}.yml`),
      ...['-i', lab.inventory],
      ...extra.flatMap((one) => ['-e', one]),
    ];
    /** Runs a playbook that dies after, or before, so many of its events; tells how often. */
    async function deadly(
      book: string,
      side: 'after' | 'before',
      { every, extra = [] }: { every: number; extra?: readonly string[] },
    ): Promise<void> {
      const place = await mkdtemp(join(folder, `${book}-${side}-`));
      const state = join(place, 'state');
      const args = argsOf(book, extra);
      const code = await codeOf(args, { DRILLBOOK_STATE: state });
      const deaths = await dying([...args, '--yes', code], state, () => ({
        dies: `${side} each ${join(place, 'met')} ${every}`,
      }));
      report(`${stack}/${book}: ${kept(state).length} events, died ${side} ${deaths} of them`);
      expect(deaths).toBeGreaterThanOrEqual(POINTS);
    }

    test(`a pair that is built by a run that is killed ${POINTS} times is as one that was built in one go`, async () => {
      const state = join(folder, 'straight');
      const built = await playbook(`${stack}/build`, lab.inventory, { state });
      expect(built.code, built.told).toBe(0);
      const goal = await pairNow();
      // One event less than in the straight run is not to be one death less.
      const every = Math.floor((kept(state).length * 0.9) / POINTS);
      for (const side of ['after', 'before'] as const) {
        await bare();
        await deadly('build', side, { every });
        expect(await pairNow()).toEqual(goal);
        const again = await playbook(`${stack}/build`, lab.inventory, { state });
        expect([again.code, again.changed]).toEqual([0, []]);
      }
    }, 3_600_000);

    test(`an upgrade that is killed ${POINTS} times leaves both nodes with the release, and the roles as they were`, async () => {
      const before = await playbook(`${stack}/status`, lab.inventory, { state: folder });
      expect(before.code, before.told).toBe(0);
      const extra = [`version=${version}`, 'soak=1s'];
      await deadly('upgrade', 'after', { every: 12, extra });
      const ask =
        "dpkg-query -W -f '${db:Status-Status} ${Version}\\n' 'usphere-*' 'kaiwudb-*' 2>/dev/null | sort -u";
      expect(await onNodes(ask)).toEqual(NODES.map(() => `installed ${version}\n`));
      const now = await statusOf(lab.inventory);
      expect([now.state, now.nodes.map(({ role }) => role)]).toEqual(['running', ['primary', 'standby']]);
      const again = await playbook(`${stack}/upgrade`, lab.inventory, { state: folder, extra });
      expect([again.code, again.changed]).toEqual([0, []]);
    }, 1_800_000);
  },
);
