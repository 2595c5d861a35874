import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RESOURCE } from '../../../engine/modules/drbd/_reunite.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'reunite-'));
  // Answers as drbdadm 9.22 does; the connection's state comes from $before, and from $after once it is attached.
  writeFileSync(
    join(folder, 'drbdadm'),
    `#!/bin/sh
case $1 in
  cstate) if [ -e "$0.attached" ]; then printf "$after"; else printf "$before"; fi ;;
  --version) echo "DRBD_KERNEL_VERSION_CODE=$kernel" ;;
  attach) echo "$1" >>"$0.did"; : >"$0.attached" ;;
  new-*) ;;
  *) echo "$1" >>"$0.did" ;;
esac
`,
    { mode: 0o755 },
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

const V84 = '0x08040b';

test.each([
  ['StandAlone\\n', '', V84, 'connect'],
  ['WFConnection\\n', '', V84, 'disconnect connect'],
  ['StandAlone\\nStandAlone\\n', '', V84, 'connect'],
  ['WFConnection\\nWFConnection\\n', '', V84, 'disconnect connect'],
  ['', 'StandAlone\\n', V84, 'attach connect'],
  // As a resource is called that is up without disk and connection.
  ['Unconfigured\\n', 'StandAlone\\n', V84, 'attach connect'],
  ['StandAlone\\nUnconfigured\\n', 'StandAlone\\nStandAlone\\n', V84, 'attach connect'],
  ['Unconfigured\\n', 'Unconfigured\\n', V84, 'attach it is down, and cannot be attached'],
  ['Connected\\n', '', '0x090113', ''],
  ['Connected\\n', '', V84, ''],
  ['SyncTarget\\nPausedSyncT\\n', '', V84, ''],
  [
    'WFConnection\\n',
    '',
    '0x090113',
    'its kernel has no DRBD 8.4; with another it is done by hand (drbdadm connect)',
  ],
])('states %j and %j, kernel %s: %s', (before, after, kernel, did) => {
  for (const file of ['did', 'attached']) rmSync(join(folder, `drbdadm.${file}`), { force: true });
  const script = `resource=r\n${RESOURCE}\nraise || exit\nif apart; then part && join; fi`;
  const said = spawnSync('sh', ['-c', `${script}; exit`], {
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}`, before, after, kernel },
    encoding: 'utf8',
  });
  const log = spawnSync('cat', [join(folder, 'drbdadm.did')], { encoding: 'utf8' }).stdout;
  expect([...log.split('\n'), ...said.stderr.split('\n')].filter((line) => line !== '').join(' ')).toBe(did);
});
