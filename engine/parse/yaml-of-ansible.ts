import type { DocumentOptions, ParseOptions, ScalarTag, SchemaOptions, Tags } from 'yaml';

const number = (text: string): number => Number(text.replaceAll('_', ''));

/** `1:30` is 90: numbers to the base of 60. */
const sexagesimal = (text: string): number => {
  const sign = text.startsWith('-') ? -1 : 1;
  const parts = text.replace(/^[-+]/, '').split(':').map(number);
  return sign * parts.reduce((sum, part) => sum * 60 + part, 0);
};

const signed =
  (digits: (text: string) => number) =>
  (text: string): number =>
    text.startsWith('-') ? -digits(text.slice(1)) : digits(text.replace(/^\+/, ''));

const scalar = (tag: string, test: RegExp, resolve: (text: string) => unknown): ScalarTag => ({
  tag: `tag:yaml.org,2002:${tag}`,
  default: true,
  test,
  resolve,
});

/** Plain texts as PyYAML's resolver takes them: YAML 1.1, less than all of it. */
const SCALARS: readonly ScalarTag[] = [
  scalar('bool', /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/, () => true),
  scalar('bool', /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/, () => false),
  scalar(
    'int',
    /^[-+]?0b[01_]+$/,
    signed((text) => parseInt(text.slice(2).replaceAll('_', ''), 2)),
  ),
  scalar(
    'int',
    /^[-+]?0[0-7_]+$/,
    signed((text) => parseInt(text.replaceAll('_', ''), 8)),
  ),
  scalar('int', /^[-+]?(?:0|[1-9][0-9_]*)$/, number),
  scalar(
    'int',
    /^[-+]?0x[0-9a-fA-F_]+$/,
    signed((text) => parseInt(text.slice(2).replaceAll('_', ''), 16)),
  ),
  scalar('int', /^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$/, sexagesimal),
  scalar('float', /^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?$/, number),
  scalar('float', /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*$/, sexagesimal),
  scalar('float', /^[-+]?\.(?:inf|Inf|INF)$/, (text) => (text.startsWith('-') ? -Infinity : Infinity)),
  scalar('float', /^\.(?:nan|NaN|NAN)$/, () => NaN),
];

const REPLACED = ['bool', 'int', 'float', 'timestamp'].map((kind) => `tag:yaml.org,2002:${kind}`);

/** How Ansible's own files are parsed: `yes` is true there, `0644` octal, and of a key that stands twice the last one holds. */
export const yamlOfAnsible = (own: readonly ScalarTag[]): ParseOptions & DocumentOptions & SchemaOptions => ({
  version: '1.1',
  uniqueKeys: false,
  customTags: (tags: Tags): Tags => [
    ...tags.filter((tag) => typeof tag === 'string' || !REPLACED.includes(tag.tag)),
    ...SCALARS,
    { tag: '!unsafe', resolve: (text: string) => text },
    ...own,
  ],
});
