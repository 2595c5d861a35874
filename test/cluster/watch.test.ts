import { expect, test } from 'vitest';
import { dbackupGlance } from '../../engine/cluster/_dbackup-watch.ts';

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

test('anything else is no look', () => expect(dbackupGlance('mysql: warning')).toBe(undefined));
