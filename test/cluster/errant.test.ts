import { expect, test } from 'vitest';
import { lackingFrom } from '../../engine/cluster/_dbackup-errant.ts';
import { parseReplica } from '../../engine/modules/mysql/_server.ts';

const FOLLOWING = {
  Source_Host: '10.0.0.2',
  Replica_IO_Running: 'Yes',
  Replica_SQL_Running: 'Yes',
  Seconds_Behind_Source: '0',
  Relay_Source_Log_File: 'mysql2-bin.000003',
  Exec_Source_Log_Pos: '157',
};
const HERE = { file: 'mysql2-bin.000003', position: 157 };

test.each([
  ['follows without delay', {}, undefined],
  ['is behind', { Seconds_Behind_Source: '7' }, HERE],
  ['has stopped', { Replica_IO_Running: 'No', Replica_SQL_Running: 'No', Seconds_Behind_Source: null }, HERE],
  ['has met a conflict', { Replica_SQL_Running: 'No', Last_SQL_Errno: '1062' }, HERE],
  ['has applied nothing yet', { Replica_SQL_Running: 'No', Relay_Source_Log_File: '' }, undefined],
])('a primary that %s', (_, change, from) => {
  expect(lackingFrom(parseReplica({ ...FOLLOWING, ...change }))).toEqual(from);
});

test('a primary that does not replicate from the standby says nothing of it', () => {
  expect(lackingFrom(undefined)).toBeUndefined();
});
