import type { Happening, RunEvent } from '../../engine/core/event.ts';

type Finished = Extract<Happening, { event: 'step_finished' }>;

/** Events at chosen moments: milliseconds since the run began. */
export function timed(list: readonly (readonly [number, Happening])[]): readonly RunEvent[] {
  return list.map(([ms, happening], index) => ({
    ...happening,
    run: '20260302-213000-0a1b2',
    seq: index + 1,
    at: new Date(Date.UTC(2026, 2, 2, 21, 30) + ms).toISOString(),
  }));
}

export const begun = (hosts: readonly string[], name = 'Upgrade a pair, standby first'): Happening => ({
  ...{
    event: 'run_started',
    playbook: '/srv/runbooks/upgrade.yml',
    name,
    inventory: '/srv/inventories/dbk.yml',
  },
  ...{ operator: 'ann', isCheck: false, hosts },
  options: { selection: { limit: 'dbk' }, inputs: { version: '8.0-9' } },
});

export const step = (
  [from, to]: readonly [number, number],
  host: string,
  name: string,
  more: Partial<Finished> & { readonly id?: string } = {},
): (readonly [number, Happening])[] => {
  const { id = `standby-first/${name.toLowerCase().replaceAll(' ', '-')}`, ...rest } = more;
  const { module = 'shell' } = rest;
  const outcome = rest.outcome ?? 'ok';
  const end: Happening = {
    ...{ event: 'step_finished', step: id, name, module, host, outcome, durationMs: to - from, result: {} },
    ...rest,
  };
  if (outcome === 'skipped') return [[to, end]];
  return [
    [from, { event: 'step_started', step: id, name, module, host }],
    [to, end],
  ];
};

const CONFIG = {
  what: 'content of /etc/mysql/mysql.conf.d/mysqld.cnf',
  before: '[mysqld]\nserver_id = 234\nbind_address = 127.0.0.1\nread_only = off\n',
  after: '[mysqld]\nserver_id = 234\nbind_address = 0.0.0.0\nread_only = on\nlog_bin = binlog\n',
};

/** A pair, with all that can befall a run: waits, a host away, a kill, a resume, edits, guards, what is bent. */
export function eventful(): readonly RunEvent[] {
  const [a, b] = ['info121', 'info122'] as const;
  const id = 'standby-first/catch-up';
  const wait = (ms: number, attempt: number): readonly [number, Happening] => [
    ms,
    {
      event: 'step_progress',
      step: id,
      host: b,
      attempt,
      message: `attempt ${attempt} of 4: ${120 - attempt * 30} s behind`,
    },
  ];
  return timed(
    [
      [0, begun([a, b])] as const,
      [
        400,
        { event: 'confirmation_given', question: 'Upgrades both nodes of dbk to 8.0-9.', by: 'ann' },
      ] as const,
      [900, { event: 'lock_taken', cluster: 'dbk', tokens: { [a]: 3, [b]: 3 } }] as const,
      [1500, { event: 'roles_found', cluster: 'dbk', roles: { [a]: 'primary', [b]: 'standby' } }] as const,
      [1600, { event: 'play_started', play: 'standby-first', name: 'Standby first', hosts: [b] }] as const,
      ...step([1700, 2600], b, 'Gather facts', { module: 'facts' }),
      [
        2650,
        {
          event: 'obligation_opened',
          obligation: 'failover-disabled@dbk',
          host: b,
          cluster: 'dbk',
          message: 'automatic failover is off',
          step: 'standby-first/automatic-failover-is-off',
          undo: 'standby-first/automatic-failover-is-off/undo',
        },
      ] as const,
      ...step([2700, 3900], b, 'Automatic failover is off', {
        module: 'dbackup.hactl',
        outcome: 'changed',
        reason: 'hactl disable',
      }),
      ...step([4000, 21_000], b, 'Packages', {
        module: 'package',
        outcome: 'changed',
        changes: [
          { what: 'package dbackup3-ha', before: '8.0-7', after: '8.0-9' },
          { what: 'package dbackup3-catalog', before: '8.0-7', after: '8.0-9' },
        ],
      }),
      [
        21_000,
        { event: 'handler_notified', handler: 'restart backupd', host: b, by: 'standby-first/packages' },
      ] as const,
      ...step([21_200, 22_000], b, 'Database settings', {
        module: 'template',
        outcome: 'changed',
        changes: [CONFIG],
      }),
      [
        22_100,
        { event: 'step_started', step: id, name: 'Catch up', module: 'mysql.replication', host: b },
      ] as const,
      wait(25_000, 1),
      wait(31_000, 2),
      [
        33_000,
        { event: 'host_away', host: b, message: 'the connection to info122 was lost', forMs: 300_000 },
      ] as const,
      [39_000, { event: 'host_back', host: b, awayMs: 6000 }] as const,
      wait(41_000, 3),
      // Killed here; an hour and a half later somebody else goes on.
      [5_441_000, { event: 'run_resumed', operator: 'bob' }] as const,
      [
        5_441_100,
        {
          event: 'changes_accepted',
          by: 'bob',
          added: ['standby-first/longer-wait'],
          removed: [],
          changed: { [id]: ['timeout'] },
          moved: [],
          others: [],
          files: { '/srv/runbooks/upgrade.yml': 'ab'.repeat(32) },
        },
      ] as const,
      ...step([5_442_000, 5_460_000], b, 'Catch up', {
        module: 'mysql.replication',
        outcome: 'changed',
        changes: [{ what: 'lag', before: '90 s', after: '0 s' }],
      }),
      ...step([5_460_100, 5_461_000], b, 'Optional tool', {
        outcome: 'failed',
        isForgiven: true,
        reason: 'exit code 127',
        result: { rc: 127, stderr: 'sh: 1: dbtool: not found' },
      }),
      ...step([5_461_100, 5_461_100], b, 'Only on Kylin', {
        outcome: 'skipped',
        reason: "when: facts.os.id == 'kylin'",
      }),
      ...step([5_462_000, 5_463_500], b, 'restart backupd', {
        module: 'service',
        outcome: 'changed',
        changes: [{ what: 'service dbackup3-backupd', before: 'running', after: 'restarted' }],
      }),
      [5_464_000, { event: 'play_started', play: 'switch', name: 'Switch over', hosts: [a, b] }] as const,
      ...step([5_464_100, 5_470_000], a, 'State of the pair', {
        module: 'cluster.status',
        id: 'switch/state-of-the-pair',
        result: { cluster: 'dbk', state: 'running', roles: { [a]: 'standby', [b]: 'primary' } },
      }),
      ...step([5_470_100, 5_478_000], a, 'Start the agent', {
        module: 'service',
        id: 'switch/start-the-agent',
        outcome: 'failed',
        reason: 'dbackup3-agent did not start: exit code 1',
        result: { rc: 1, stderr: 'bind: Address already in use\nagent: giving up\n' },
      }),
      ...step([5_470_100, 5_472_000], b, 'Start the agent', {
        module: 'service',
        id: 'switch/start-the-agent',
        outcome: 'changed',
        changes: [{ what: 'service dbackup3-agent', before: 'stopped', after: 'running' }],
      }),
      [
        5_478_100,
        {
          event: 'invariant_broken',
          name: 'one holder for each VIP',
          message: 'cluster.vips[0] is held by info121 and info122',
        },
      ] as const,
      [5_478_200, { event: 'lock_released', cluster: 'dbk' }] as const,
      [
        5_478_500,
        {
          event: 'run_finished',
          outcome: 'in_doubt',
          exitCode: 4,
          durationMs: 37_500,
          counts: { [a]: { ok: 1, failed: 1 }, [b]: { ok: 1, changed: 7, skipped: 1, failed: 1 } },
          reason:
            'open: automatic failover is off (failover-disabled@dbk, since `standby-first/automatic-failover-is-off` on info122)',
        },
      ] as const,
    ].toSorted(([x], [y]) => x - y),
  );
}

/** A long run on many hosts, most of them alike. */
export function large(hosts: number, steps: number): readonly RunEvent[] {
  const names = Array.from({ length: hosts }, (_, i) => `node-${String(i + 1).padStart(2, '0')}`);
  const list: (readonly [number, Happening])[] = [
    [0, begun(names, 'Maintain a site')],
    [10, { event: 'play_started', play: 'site', name: 'The whole site', hosts: names }],
  ];
  let clock = 100;
  for (let n = 1; n <= steps; n++) {
    for (const [i, host] of names.entries()) {
      const took = 200 + ((n * 37 + i * 91) % 900);
      const isChanged = n % 7 === 0;
      const isFailed = n % 50 === 0 && i === 3;
      const outcome = n % 11 === 0 ? 'skipped' : isFailed ? 'failed' : isChanged ? 'changed' : 'ok';
      list.push(
        ...step([clock, clock + took], host, `Step ${n} of many`, {
          ...{ id: `site/step-${n}`, outcome },
          ...(isChanged
            ? { changes: [{ what: `mode of /etc/site/${n}.conf`, before: '0600', after: '0644' }] }
            : {}),
          ...(isFailed
            ? { isForgiven: true, reason: 'exit code 1', result: { stderr: `no such file: ${n}` } }
            : {}),
        }),
      );
    }
    clock += 1200;
  }
  const counts = Object.fromEntries(names.map((host) => [host, { ok: steps }]));
  list.sort(([x], [y]) => x - y);
  return timed([
    ...list,
    [clock, { event: 'run_finished', outcome: 'done', exitCode: 0, durationMs: clock, counts }],
  ]);
}
