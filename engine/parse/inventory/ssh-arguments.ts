import { shellWords } from './shell-words.ts';

/** Options of ssh(1) without a value, and what they are in ssh_config; undefined for those that change nothing here. */
const FLAGS: Readonly<Record<string, readonly [string, string] | undefined>> = {
  A: ['ForwardAgent', 'yes'],
  a: ['ForwardAgent', 'no'],
  4: ['AddressFamily', 'inet'],
  6: ['AddressFamily', 'inet6'],
  C: undefined,
  q: undefined,
  T: undefined,
  t: undefined,
  v: undefined,
  x: undefined,
  X: undefined,
};
/** Those with one. */
const VALUED: Readonly<Record<string, string>> = {
  J: 'ProxyJump',
  i: 'IdentityFile',
  p: 'Port',
  l: 'User',
  F: '-F',
};

/** Options of ssh's command line (`-o ProxyJump=bastion -A`) as words of ssh_config; `-F` keeps its name. Throws an Error with one sentence. */
export function sshArguments(text: string): (readonly [string, string])[] {
  const found: (readonly [string, string])[] = [];
  const words = shellWords(text, false).map((word) => word.text);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    const [, letter = '', rest = ''] = /^-([A-Za-z46])(.*)$/s.exec(word) ?? [];
    if (letter === 'o' || Object.hasOwn(VALUED, letter)) {
      const value = rest === '' ? words[++i] : rest;
      if (value === undefined) throw new Error(`nothing follows -${letter}`);
      if (letter !== 'o') {
        found.push([VALUED[letter] ?? '', value]);
        continue;
      }
      const [, key, own] = /^\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*)$/s.exec(value) ?? [];
      if (key === undefined || own === undefined) throw new Error(`-o ${value}: NAME=VALUE is wanted`);
      found.push([key, own]);
    } else if (letter !== '' && [...word.slice(1)].every((one) => Object.hasOwn(FLAGS, one)))
      found.push(...[...word.slice(1)].flatMap((one) => (FLAGS[one] ? [FLAGS[one]] : [])));
    else throw new Error(`\`${word}\` is an option of ssh that means nothing here`);
  }
  return found;
}
