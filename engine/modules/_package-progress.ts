/** What a package manager is at, for the live view. */
export interface PackageProgress {
  readonly message: string;
  /** Left out while it has not said how much there is to do. */
  readonly percent?: number;
}

const TELLING = /^(Get:|Unpacking|Setting up|Removing|Updating|Installing)/;
// `1 upgraded, 2 newly installed, 1 downgraded, 0 to remove and 3 not upgraded.`
const TOTAL = /^(\d+) upgraded, (\d+) newly installed,(?: (\d+) downgraded,)? (\d+) to remove/;

/**
 * Follows what apt says as it comes, piece by piece. Each package is fetched (where it has to be), unpacked and set up;
 * these count alike, since apt tells no times.
 */
export function packageProgress(): (text: string) => PackageProgress | undefined {
  let rest = '';
  let parts: number | undefined;
  let done = 0;
  let isFetching = false;
  const hear = (line: string): void => {
    const total = TOTAL.exec(line);
    if (total) {
      const [, upgraded, added, downgraded = '0', removed] = total;
      parts = 2 * [upgraded, added, downgraded, removed].reduce((sum, count) => sum + Number(count), 0);
      done = 0;
    }
    // Told after the total, before the first package is fetched.
    if (line.startsWith('Need to get ') && !/^Need to get 0 B[ /]/.test(line) && parts !== undefined) {
      isFetching = true;
      parts *= 1.5;
    }
    if (/^(Unpacking|Setting up) /.test(line) || (isFetching && line.startsWith('Get:'))) done++;
    if (line.startsWith('Removing ')) done += 2;
  };
  return (text) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) hear(line);
    const last = lines.findLast((line) => TELLING.test(line));
    if (last === undefined) return undefined;
    const percent = parts ? Math.min(99, Math.floor((100 * done) / parts)) : undefined;
    return { message: last.trim(), ...(percent === undefined ? {} : { percent }) };
  };
}
