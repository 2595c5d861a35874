import { expect, test } from 'vitest';
import { parseVersion } from '../../../engine/modules/mysql/_connect.ts';
import { chooseMethod } from '../../../engine/modules/mysql/_method.ts';
import type { Facts } from '../../../engine/modules/mysql/_method.ts';
import type { Survey } from '../../../engine/modules/mysql/_survey.ts';

const GIB = 2 ** 30;
const survey = (node: string, more: Partial<Survey> = {}): Survey => ({
  node,
  data: '/var/lib/mysql',
  lacking: [],
  closed: undefined,
  usedBytes: 10 * GIB,
  roomBytes: 11 * GIB,
  ...more,
});
const facts = (more: Partial<Facts> = {}): Facts => ({
  wanted: 'auto',
  flavour: 'mariadb',
  source: parseVersion('10.11.6-MariaDB-0+deb12u1'),
  replica: parseVersion('10.11.18-MariaDB'),
  isPart: false,
  bytes: 8 * GIB,
  fromBytes: GIB,
  here: survey('b'),
  there: survey('a'),
  ...more,
});
const mysql = (version: string): Partial<Facts> => ({
  flavour: 'mysql',
  source: parseVersion(version),
  replica: parseVersion(version),
});

test('auto takes the physical copy from a size on, and the dump below it; both say why', () => {
  expect(chooseMethod(facts({ bytes: GIB }))).toEqual({
    method: 'physical',
    why: 'about 1.0 GiB, that is 1.0 GiB or more',
  });
  expect(chooseMethod(facts({ bytes: GIB - 1 }))).toMatchObject({ method: 'dump' });
  expect(chooseMethod(facts({ bytes: undefined }))).toEqual({
    method: 'dump',
    why: 'size not known, and a physical copy is for 1.0 GiB and more',
  });
});

const OBSTACLES: readonly (readonly [string, Partial<Facts>, string])[] = [
  ['on GreatDB', { flavour: 'greatdb' }, 'it is not offered on greatdb'],
  ['on Kylin', { flavour: 'kylin' }, 'it is not offered on kylin'],
  [
    'of some databases',
    { isPart: true },
    'only some databases are wanted, and it copies all that the server holds',
  ],
  [
    'between series of MariaDB',
    { replica: parseVersion('11.4.2-MariaDB') },
    'the servers differ: 10.11.6-MariaDB-0+deb12u1 and 11.4.2-MariaDB',
  ],
  [
    'between versions of MySQL',
    { ...mysql('8.0.36'), replica: parseVersion('8.0.37') },
    'the servers differ: 8.0.36 and 8.0.37',
  ],
  [
    'from MySQL to MariaDB',
    { source: parseVersion('8.0.36') },
    'the servers differ: 8.0.36 and 10.11.18-MariaDB',
  ],
  ['before clones', mysql('8.0.16'), '8.0.16 is too old for it'],
  [
    'without programs',
    { there: survey('a', { lacking: ['mariadb-backup', 'socat'] }) },
    'a has no mariadb-backup, no socat',
  ],
  [
    'where files are closed',
    { here: survey('b', { closed: 'guest may not read it' }) },
    'on b guest may not read it',
  ],
  [
    'without room',
    { here: survey('b', { roomBytes: 11 * GIB - 1 }) },
    'beside /var/lib/mysql of b there is room for 11.0 GiB, and 11.0 GiB are needed',
  ],
];

test.each(OBSTACLES)(
  'no physical copy %s: auto takes the dump and says so, and asked for it is refused',
  (_, more, why) => {
    expect(chooseMethod(facts(more))).toEqual({
      method: 'dump',
      why: `about 8.0 GiB, but a physical copy is not possible: ${why}`,
    });
    expect(chooseMethod(facts({ ...more, wanted: 'physical' }))).toEqual({ refused: why });
    expect(chooseMethod(facts({ ...more, wanted: 'dump' }))).toEqual({ method: 'dump', why: 'asked for' });
  },
);

test('what is asked for and possible is done, however small', () => {
  expect(chooseMethod(facts({ wanted: 'physical', bytes: 1 }))).toEqual({
    method: 'physical',
    why: 'asked for',
  });
  expect(chooseMethod(facts({ ...mysql('8.0.17'), wanted: 'physical' }))).toMatchObject({
    method: 'physical',
  });
  expect(chooseMethod(facts(mysql('8.0.17')))).toMatchObject({ method: 'physical' });
});
