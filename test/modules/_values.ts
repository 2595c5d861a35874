/** Texts that break whatever puts shell together by hand. */
export const HOSTILE: readonly string[] = [
  `it's "quoted"`,
  '$(touch /tmp/drillbook-owned); `id`; $HOME',
  'a; rm -rf /; b && c | d > e',
  'two\nlines\n',
  '-rf',
  '  spaces\t tabs  ',
  '*',
  '\\n\\',
  'ünïcode 备份 🚀',
  '%s %d %%',
];

/** The same as names of files: no slash in them. */
export const HOSTILE_NAMES: readonly string[] = HOSTILE.map((name) => name.replaceAll('/', '_'));
