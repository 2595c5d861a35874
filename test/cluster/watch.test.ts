import { expect, test } from 'vitest';
import { dbackupGlance } from '../../engine/cluster/_dbackup-watch.ts';
import { drbdGlance } from '../../engine/cluster/_drbd-watch.ts';

test.each([
  ['read_only=off io=yes run=yes lag=0 vips=10.0.0.1,10.0.1.1', ['primary', 'normal', 2, 0]],
  ['read_only=on io=yes run=yes lag=3 vips=', ['standby', 'normal', 0, 3]],
  ['read_only=on io=no run=yes lag=- vips=', ['standby', 'disconnected', 0, null]],
  ['read_only=on io=yes run=no lag=- vips=', ['standby', 'broken', 0, null]],
  ['read_only=on io=none run=none lag=- vips=', ['standby', 'absent', 0, null]],
  // A database that is down, and a node that holds a VIP and takes no writes yet.
  ['read_only=unknown io=none run=none lag=- vips=10.0.0.1', ['unknown', 'unknown', 1, null]],
  ['read_only=on io=yes run=yes lag=0 vips=10.0.0.1', ['unknown', 'normal', 1, 0]],
])('a look at a node: %s', (line, wanted) => {
  const glance = dbackupGlance(line);
  expect([glance?.role, glance?.replication, glance?.vips.length, glance?.lagSeconds]).toEqual(wanted);
});

test.each([
  [
    'cs=Connected ro=Primary/Secondary ds=UpToDate/UpToDate runs=yes vip=10.0.0.9',
    ['primary', true, 'normal'],
  ],
  ['cs=Connected ro=Secondary/Primary ds=UpToDate/UpToDate runs=no vip=', ['standby', false, 'normal']],
  [
    'cs=WFConnection ro=Primary/Unknown ds=UpToDate/DUnknown runs=yes vip=10.0.0.9',
    ['primary', true, 'disconnected'],
  ],
  ['cs=SyncTarget ro=Secondary/Primary ds=Inconsistent/UpToDate runs=no vip=', ['standby', false, 'syncing']],
  ['cs=StandAlone ro=Secondary/Unknown ds=UpToDate/DUnknown runs=no vip=', ['standby', false, 'broken']],
  ['cs=none ro=none ds=none runs=no vip=', ['standby', false, 'absent']],
  // Promoted, and its database does not run yet; the virtual address on a node that is not promoted.
  [
    'cs=WFConnection ro=Primary/Unknown ds=UpToDate/DUnknown runs=no vip=',
    ['unknown', false, 'disconnected'],
  ],
  [
    'cs=Connected ro=Secondary/Primary ds=UpToDate/UpToDate runs=no vip=10.0.0.9',
    ['unknown', false, 'normal'],
  ],
])('a look at a node of DRBD: %s', (line, wanted) => {
  const glance = drbdGlance(line);
  expect([glance?.role, glance?.isWritable, glance?.replication]).toEqual(wanted);
});

test('anything else is no look', () => {
  expect(dbackupGlance('mysql: warning')).toBe(undefined);
  expect(drbdGlance('drbd: warning')).toBe(undefined);
});
