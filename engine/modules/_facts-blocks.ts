interface BlockDevice {
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly size_bytes: number;
  readonly is_read_only: boolean;
  readonly is_rotational: boolean;
  readonly fstype: string;
  readonly label: string;
  readonly uuid: string;
  readonly mountpoint: string;
  readonly serial: string;
  readonly model: string;
  readonly by_id: readonly string[];
  readonly parents: readonly string[];
  readonly partitions: readonly string[];
}

/** lsblk writes the bytes that a shell minds as \xHH. */
const unescaped = (text: string): string =>
  Buffer.from(
    text.replaceAll(/[^\\]+|\\x([0-9a-f]{2})|\\/gi, (run, hex?: string) =>
      hex === undefined ? Buffer.from(run).toString('latin1') : String.fromCharCode(Number.parseInt(hex, 16)),
    ),
    'latin1',
  ).toString();

/** A line of `lsblk -P`: `NAME="/dev/sda" SIZE="1"`. */
const pairs = (line: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...line.matchAll(/([A-Z:-]+)="([^"]*)"/g)].map(([, key = '', value = '']) => [
      key,
      unescaped(value).trim(),
    ]),
  );

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** What lsblk said, a device once, though lsblk names it below each device that it is made of. */
export function blockDevices(
  lines: readonly string[],
  links: ReadonlyMap<string, readonly string[]>,
): readonly BlockDevice[] {
  const rows = lines.map(pairs);
  const names = new Map(rows.map(({ KNAME = '', NAME = '' }) => [KNAME, nameOf(NAME)]));
  const distinct = rows.filter(({ KNAME }, i) => rows.findIndex((row) => row['KNAME'] === KNAME) === i);
  return distinct.map((row) => {
    const { KNAME: kernel = '', NAME: path = '' } = row;
    const text = (key: string): string => row[key] ?? '';
    const above = rows.filter(({ KNAME, PKNAME }) => KNAME === kernel && PKNAME);
    const below = distinct.filter(({ PKNAME, TYPE }) => PKNAME === kernel && TYPE === 'part');
    return {
      name: nameOf(path),
      path,
      type: text('TYPE'),
      size_bytes: Number(text('SIZE')),
      is_read_only: text('RO') === '1',
      is_rotational: text('ROTA') === '1',
      fstype: text('FSTYPE'),
      label: text('LABEL'),
      uuid: text('UUID'),
      mountpoint: text('MOUNTPOINT'),
      serial: text('SERIAL'),
      model: text('MODEL'),
      by_id: links.get(kernel) ?? [],
      parents: above.map(({ PKNAME = '' }) => names.get(PKNAME) ?? nameOf(PKNAME)),
      partitions: below.map(({ NAME = '' }) => nameOf(NAME)),
    };
  });
}
