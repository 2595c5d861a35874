import { describe, expect, test } from 'vitest';
import { parseGenerations, relationOf } from '../../../engine/modules/drbd/_generations.ts';
import type { Relation } from '../../../engine/modules/drbd/_generations.ts';
import { refuseVictim } from '../../../engine/modules/drbd/_refuse-victim.ts';
import { unquoted } from '../../../engine/modules/drbd/_reunite.ts';
import type { Side } from '../../../engine/modules/drbd/_side.ts';
import { parseSide } from '../../../engine/modules/drbd/_side.ts';
import { judge } from '../../../engine/modules/drbd/_verdict.ts';

const identifier = (letter: string): string => letter.repeat(15) + '0';
/** `A:B:C:D` of letters, each an identifier; `0` none. */
const gi = (text: string, flags = '1:1:0:0:0:0:0'): string =>
  `${text
    .split(':')
    .map((letter) => (letter === 'new' ? '0000000000000004' : identifier(letter)))
    .join(':')}:${flags}`;

test.each<[string, string, Relation]>([
  ['A:0:C:0', 'A:0:C:0', 'same'],
  ['new:0:0:0', 'new:0:0:0', 'same'],
  ['new:0:0:0', 'A:0:0:0', 'behind'],
  ['B:A:0:0', 'new:0:0:0', 'ahead'],
  ['A:0:C:0', 'B:A:C:0', 'behind'],
  ['B:A:C:0', 'A:0:C:0', 'ahead'],
  ['C:0:0:0', 'A:0:B:C', 'behind'],
  ['B:A:0:0', 'C:A:0:0', 'diverged'],
  ['B:A:0:0', 'D:C:A:0', 'diverged'],
  ['B:0:A:0', 'D:C:A:0', 'diverged'],
  ['B:A:0:0', 'D:C:0:0', 'unrelated'],
  ['B:0:new:0', 'D:0:new:0', 'unrelated'],
])('generations %s and %s: %s', (own, peer, relation) => {
  const [one, other] = [parseGenerations(gi(own)), parseGenerations(gi(peer))];
  if (one === undefined || other === undefined) throw new Error('no generations');
  expect(relationOf(one, other)).toBe(relation);
});

test('the role in the lowest bit makes no other generation', () => {
  const [one, other] = ['595CDB2D586833A3', '595CDB2D586833A2'].map((current) =>
    parseGenerations(`${current}:0000000000000000:9DAC467A1B48AFA0:0000000000000004:1:1:1:1:0:0:1`),
  );
  expect(one).toEqual({ ...other, current: '595CDB2D586833A2' });
  expect(one).toMatchObject({ isPrimary: true, isCrashedPrimary: true });
});

test.each([
  ['1:1:0:0:0:0:1', true],
  ['1:1:0:1:0:0:0', false],
  // Of DRBD 9: seven flags of its own, and those of the peer.
  ['1:1:0:1:0:0:0:1:0:0:0:1', true],
  ['1:1:0:0:1:0:1:1:0:0:0:1', false],
])('flags %s: crashed %s', (flags, isCrashedPrimary) => {
  expect(parseGenerations(gi('A:0:0:0', flags))).toMatchObject({ isCrashedPrimary });
});

test.each(['', 'nonsense', 'A:B:C:D:1:1:1:1:0:0:0', '595CDB2D586833A3:0000000000000000'])(
  '`%s` tells no generations',
  (line) => {
    expect(parseGenerations(line)).toBeUndefined();
  },
);

interface Wish {
  readonly gi: string;
  readonly flags?: string;
  readonly connection?: string;
  readonly role?: string;
  readonly disk?: string;
  readonly out?: number;
  readonly use?: string;
  readonly vip?: boolean;
}

const side = (name: string, wish: Wish): Side =>
  parseSide(
    name,
    `now 1000000
gi ${gi(wish.gi, wish.flags)}
${wish.use === undefined ? '' : `use ${wish.use}`}
${wish.vip ? 'vip' : ''}
exists resource name:r role:${wish.role ?? 'Secondary'} suspended:no
exists connection name:r peer-node-id:0 connection:${wish.connection ?? 'StandAlone'} role:Unknown congested:no
exists device name:r volume:0 minor:3 disk:${wish.disk ?? 'UpToDate'} size:65496
exists peer-device name:r peer-node-id:0 volume:0 replication:Off peer-disk:DUnknown out-of-sync:${wish.out ?? 0}
exists -`,
    'r',
  );
const MOUNTED = { role: 'Primary', use: 'it is mounted at /data' };
const pair = (one: Wish, other: Wish): [Side, Side] => [side('a', one), side('b', other)];

interface Case {
  readonly of: string;
  readonly sides: [Side, Side];
  readonly state: string;
  readonly candidate?: string;
  readonly loss?: readonly [number | null, number | null];
  /** Why each is no victim, without and with `overrule`. */
  readonly refused: readonly [(RegExp | undefined)?, (RegExp | undefined)?];
  readonly overruled?: readonly [(RegExp | undefined)?, (RegExp | undefined)?];
}

const SERVES = /serves: it is mounted at \/data/;
const AGAINST = /speaks against discarding/;
const NONE = /There is no split brain/;

const cases: readonly Case[] = [
  {
    of: 'both wrote, one serves',
    sides: pair({ gi: 'B:A:0:0', out: 8, ...MOUNTED }, { gi: 'C:A:0:0', out: 4 }),
    ...{ state: 'split_brain', candidate: 'b', loss: [8192, 4096], refused: [SERVES, undefined] },
    overruled: [SERVES, undefined],
  },
  {
    of: 'both wrote, the other serves by the virtual address alone',
    sides: pair({ gi: 'B:A:0:0', out: 8 }, { gi: 'C:A:0:0', out: 4, vip: true }),
    ...{ state: 'split_brain', candidate: 'a', refused: [undefined, /it has the virtual address/] },
  },
  {
    of: 'both wrote, none serves',
    sides: pair({ gi: 'B:A:0:0', out: 8 }, { gi: 'C:A:0:0', out: 4 }),
    ...{ state: 'split_brain', refused: [undefined, undefined] },
  },
  {
    of: 'one of both wrote, none serves',
    sides: pair({ gi: 'B:A:0:0', out: 8 }, { gi: 'C:A:0:0' }),
    ...{ state: 'split_brain', candidate: 'b', loss: [8192, 0], refused: [AGAINST, undefined] },
    overruled: [undefined, undefined],
  },
  {
    of: 'the one that serves has written nothing',
    sides: pair({ gi: 'B:A:0:0', out: 8 }, { gi: 'C:A:0:0', ...MOUNTED }),
    ...{ state: 'split_brain', refused: [/a alone has written/, SERVES] },
    overruled: [undefined, SERVES],
  },
  {
    of: 'one StandAlone, the other still looks for it',
    sides: pair({ gi: 'B:A:0:0', out: 8 }, { gi: 'C:A:0:0', out: 4, connection: 'Connecting' }),
    ...{ state: 'split_brain', refused: [undefined, undefined] },
  },
  {
    of: 'one is behind',
    sides: pair({ gi: 'A:0:0:0' }, { gi: 'B:A:0:0', out: 4 }),
    ...{ state: 'lost_connection', loss: [0, 4096], refused: [NONE, NONE] },
  },
  {
    // As in the outage of which test/…/drbd-8.4-asymmetric-standalone was kept.
    of: 'one is behind, and wrote without a generation of its own',
    sides: pair({ gi: 'A:F:0:0', out: 52, role: 'Primary' }, { gi: 'B:A:0:0', out: 36, ...MOUNTED }),
    ...{ state: 'split_brain', candidate: 'a', loss: [53248, 36864], refused: [undefined, SERVES] },
  },
  {
    of: 'the newer generation is to go',
    sides: pair({ gi: 'A:F:0:0', out: 52, ...MOUNTED }, { gi: 'B:A:0:0', out: 36 }),
    ...{ state: 'split_brain', candidate: 'b', refused: [SERVES, /b has the newer generation/] },
    overruled: [SERVES, undefined],
  },
  {
    of: 'one is behind, and was primary when it lost power',
    sides: pair({ gi: 'A:0:0:0', flags: '1:1:1:1:0:0:1', out: 4096 }, { gi: 'B:A:0:0', out: 4, ...MOUNTED }),
    ...{ state: 'lost_connection', refused: [NONE, NONE] },
  },
  {
    of: 'one is behind, wrote without a generation of its own, and lost power then',
    sides: pair({ gi: 'A:F:0:0', flags: '1:1:1:1:0:0:1', out: 512 }, { gi: 'B:A:0:0', out: 4, ...MOUNTED }),
    ...{ state: 'split_brain', candidate: 'a', refused: [undefined, SERVES] },
  },
  {
    of: 'one is being filled',
    sides: pair(
      { gi: 'A:0:0:0', flags: '0:1:0:0:0:0:0', disk: 'Inconsistent', out: 400 },
      { gi: 'B:A:0:0', out: 400 },
    ),
    ...{ state: 'lost_connection', refused: [NONE, NONE] },
  },
  {
    of: 'both began a generation, and one is being filled since',
    sides: pair({ gi: 'B:A:0:0', flags: '0:1:0:0:0:0:0', out: 8 }, { gi: 'C:A:0:0', out: 4 }),
    ...{ state: 'lost_connection', loss: [0, 4096], refused: [NONE, NONE] },
  },
  {
    of: 'both have the same',
    sides: pair({ gi: 'A:0:0:0', connection: 'Connecting' }, { gi: 'A:0:0:0' }),
    ...{ state: 'lost_connection', loss: [0, 0], refused: [NONE, NONE] },
  },
  {
    of: 'connected',
    sides: pair({ gi: 'A:0:0:0', connection: 'Connected' }, { gi: 'A:0:0:0', connection: 'Connected' }),
    ...{ state: 'connected', refused: [NONE, NONE] },
  },
  {
    of: 'no past in common',
    sides: pair({ gi: 'A:0:0:0', out: 8 }, { gi: 'B:0:0:0', out: 8 }),
    ...{ state: 'unrelated', refused: [/no past in common/, /no past in common/] },
    overruled: [/no past in common/, /no past in common/],
  },
  {
    of: 'the survivor has no whole disk',
    sides: pair({ gi: 'B:A:0:0', out: 8, disk: 'Outdated' }, { gi: 'C:A:0:0', out: 4 }),
    ...{ state: 'split_brain', refused: [undefined, /a has no whole data: its disk is Outdated/] },
    overruled: [undefined, /a has no whole data/],
  },
];

describe.each(cases)('$of', ({ sides, state, candidate, loss, refused, overruled }) => {
  test('is told as it is, from both ends', () => {
    for (const order of [sides, sides.toReversed() as [Side, Side]]) {
      const verdict = judge(order);
      expect(verdict).toMatchObject({ state, candidate: candidate ?? null });
      if (loss) expect(verdict.loss).toEqual({ a: loss[0], b: loss[1] });
      for (const { name } of sides) if (state === 'split_brain') expect(verdict.text).toContain(`${name} (`);
    }
  });

  test('has the victims it may have', () => {
    for (const [overrule, whys] of [
      [false, refused],
      [true, overruled ?? refused],
    ] as const)
      for (const [i, victim] of ['a', 'b'].entries()) {
        const sideless = (): unknown =>
          refuseVictim({ sides, verdict: judge(sides) }, { victim, overrule, at_most: 1_000_000 });
        const why = whys[i];
        if (why === undefined) expect(sideless(), victim).toMatchObject({ side: { name: victim } });
        else expect(sideless, victim).toThrow(why);
      }
  });
});

test.each([
  ['Connecting', 'Connecting', 'discard-secondary', true],
  ['Connecting', 'StandAlone', 'discard-secondary', true],
  // Its kernel goes by none before it looks for its peer.
  ['StandAlone', 'Connecting', 'discard-secondary', false],
  ['StandAlone', 'StandAlone', 'discard-secondary', false],
  ['Connecting', 'Connecting', 'disconnect', false],
])('what DRBD may discard by itself is told: %s, %s, %s', (one, other, policy, isTold) => {
  const [a, b] = pair(
    { gi: 'B:A:0:0', out: 8, connection: one, ...MOUNTED },
    { gi: 'C:A:0:0', out: 4, connection: other },
  );
  const policies = { 0: 'disconnect', 1: policy };
  for (const order of [
    [{ ...a, policies }, b],
    [b, { ...a, policies }],
  ] as const)
    expect(judge(order).text.includes('after-sb-1pri discard-secondary')).toBe(isTold);
});

test('no more is discarded than was agreed to, and only of the pair', () => {
  const sides = pair({ gi: 'B:A:0:0', out: 8, ...MOUNTED }, { gi: 'C:A:0:0', out: 4 });
  const found = { sides, verdict: judge(sides) };
  expect(() => refuseVictim(found, { victim: 'b', overrule: true, at_most: 4095 })).toThrow(
    'b would lose 4.0 KiB, more than the 4.0 KiB that were agreed to',
  );
  expect(() => refuseVictim(found, { victim: 'c', overrule: true, at_most: 9999 })).toThrow(
    'c is none of a and b',
  );
});

test('a node that is down or silent', () => {
  const one = side('a', { gi: 'B:A:0:0', out: 8 });
  const down = parseSide('b', `now 1000000\ngi ${gi('C:A:0:0')}\nexists -`, 'r');
  const verdict = judge([one, down]);
  expect(verdict).toMatchObject({ state: 'split_brain', candidate: null, loss: { a: null, b: null } });
  expect(() => refuseVictim({ sides: [one, down], verdict }, { victim: 'a', overrule: true })).toThrow(
    'b has the resource down',
  );
  const silent: Side = { ...down, silence: 'b does not answer', generations: [] };
  expect(judge([one, silent])).toMatchObject({
    state: 'unknown',
    text: 'What b has cannot be told: b does not answer',
  });
  expect(judge([one, { ...down, generations: [] }])).toMatchObject({ state: 'unknown' });
});

test.each([
  ['A:F:0:0', '1:1:0:0:0:0:0', 'B:A:0:0', 'unknown'],
  ['A:F:0:0', '1:1:1:1:0:0:0', 'B:A:0:0', 'unknown'],
  ['A:0:0:0', '1:1:0:0:0:0:0', 'B:A:0:0', 'lost_connection'],
  ['A:0:0:0', '1:1:1:1:0:0:0', 'B:A:0:0', 'lost_connection'],
  ['A:F:0:0', '0:1:0:0:0:0:0', 'B:A:0:0', 'lost_connection'],
  ['B:A:0:0', '1:1:0:0:0:0:0', 'A:0:0:0', 'lost_connection'],
])('a node that is down with %s %s, its peer up with %s: %s', (own, flags, peer, state) => {
  const down = parseSide('a', `now 1000000\ngi ${gi(own, flags)}\nexists -`, 'r');
  const verdict = judge([down, side('b', { gi: peer })]);
  expect(verdict.state).toBe(state);
  if (state === 'unknown') expect(verdict.text).toContain('a is down and behind');
});

test.each([
  ['A:F:0:0', 'Diskless', 'StandAlone', 'unknown'],
  ['A:0:0:0', 'Diskless', 'StandAlone', 'lost_connection'],
  ['A:F:0:0', 'UpToDate', 'StandAlone', 'lost_connection'],
  ['A:F:0:0', 'Diskless', 'Connected', 'connected'],
])('one without its disk, with %s: %s, %s: %s', (own, disk, connection, state) => {
  const ill = side('a', { gi: own, disk, connection });
  const verdict = judge([ill, side('b', { gi: 'B:A:0:0', connection })]);
  expect(verdict.state).toBe(state);
  if (state === 'unknown') expect(verdict.text).toContain('a is without its disk and behind');
});

test('volumes of which one does not tell its generation are taken for none', () => {
  const of = (name: string, ...lines: string[]): Side =>
    parseSide(name, ['now 1000000', ...lines, 'exists -'].join('\n'), 'r');
  const whole = of('a', `gi ${gi('B:A:0:0')}`, `gi ${gi('A:0:0:0')}`);
  expect(whole.generations).toHaveLength(2);
  const torn = of('b', 'gi ', `gi ${gi('A:0:0:0')}`);
  expect(judge([whole, torn])).toMatchObject({
    state: 'unknown',
    text: expect.stringContaining('b tells no generations'),
  });
  expect(judge([whole, of('b', `gi ${gi('A:0:0:0')}`)])).toMatchObject({ state: 'unknown' });
});

test('when an ext4 file system was mounted and written last', () => {
  const bytes = Array.from({ length: 4096 }, () => 0);
  const put = (offset: number, value: number): void =>
    void [0, 8, 16, 24].forEach((shift, i) => (bytes[1024 + offset + i] = (value >>> shift) & 255));
  put(0x2c, 999_000);
  put(0x30, 999_940);
  bytes.splice(1024 + 0x38, 2, 0x53, 0xef);
  const text = (list: readonly number[]): string =>
    `now 1000000\ngi ${gi('A:0:0:0')}\nsuperblock  ${list.join(' ')} `;
  expect(parseSide('a', text(bytes), 'r')).toMatchObject({ mountedAgo: 1000, writtenAgo: 60 });
  bytes[1024 + 0x38] = 0;
  expect(parseSide('a', text(bytes), 'r').writtenAgo).toBeUndefined();
});

test('the shared secret is in no error', () => {
  const stderr =
    "drbd3: Failure: (125)\nCommand 'drbdsetup-84 connect --shared-secret=hush' terminated with exit code 10";
  expect(unquoted({ code: 10, stdout: '', stderr }).stderr).toBe('drbd3: Failure: (125)');
});
