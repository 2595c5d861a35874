import { expect, test } from 'vitest';
import { packageProgress } from '../../engine/modules/_package-progress.ts';

const SAID = `Reading package lists...
0 upgraded, 2 newly installed, 0 to remove and 3 not upgraded.
Need to get 120 kB of archives.
Get:1 http://mirror.example/debian bookworm/main amd64 one amd64 1.0 [20 kB]
Get:2 http://mirror.example/debian bookworm/main amd64 two amd64 1.0 [100 kB]
Fetched 120 kB in 1s (120 kB/s)
Selecting previously unselected package one.
Unpacking one (1.0) ...
Unpacking two (1.0) ...
Setting up one (1.0) ...
Setting up two (1.0) ...
`;

const percents = (text: string, size: number): (number | undefined)[] => {
  const hear = packageProgress();
  const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
    text.slice(i * size, (i + 1) * size),
  );
  return pieces.flatMap((piece) => {
    const told = hear(piece);
    return told ? [told.percent] : [];
  });
};

test('the percent follows what apt fetches, unpacks and sets up, however its output is cut into pieces', () => {
  expect(percents(SAID, 7)).toEqual([16, 33, 50, 66, 83, 99]);
  expect(percents(SAID, 1)).toEqual([16, 33, 50, 66, 83, 99]);
  expect(percents(SAID, 10_000)).toEqual([99]);
});

test('without a download two parts of each package are left; lists that are fetched before count nothing', () => {
  const local = SAID.replace('Need to get 120 kB', 'Need to get 0 B/120 kB').replace(/^Get:.*\n/gm, '');
  expect(percents(local, 7)).toEqual([25, 50, 75, 99]);
  const update = `Get:1 http://mirror.example/debian bookworm InRelease [151 kB]\n`;
  expect(percents(`${update}${SAID}`, 9)).toEqual([undefined, 16, 33, 50, 66, 83, 99]);
});

test('what is removed is done with one word', () => {
  const said =
    '0 upgraded, 0 newly installed, 2 to remove and 0 not upgraded.\nRemoving one (1.0) ...\nRemoving two (1.0) ...\n';
  expect(percents(said, 5)).toEqual([50, 99]);
});
