import { DrillbookError } from '../core/error.ts';

const fault = (helper: string, message: string): DrillbookError =>
  new DrillbookError('plan.template', `helper \`${helper}\`: ${message}`);

function given(helper: string, value: unknown): unknown {
  if (value === undefined) throw fault(helper, 'its value is not defined');
  return value;
}

const textOf = (helper: string, value: unknown): string => {
  const known = given(helper, value);
  if (known === null || typeof known === 'object') throw fault(helper, 'takes text, a number or a boolean');
  return String(known);
};

/** `10.0.0.5/24` → its network, `10.0.0.0/24`. */
function network(value: unknown, prefix: unknown): string {
  const text = textOf('ipnet', value);
  const [address = '', own] = text.split('/');
  const bits = Number(typeof prefix === 'number' || typeof prefix === 'string' ? prefix : own);
  const parts = address.split('.').map(Number);
  const isIp =
    parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255);
  if (!isIp || !Number.isInteger(bits) || bits < 0 || bits > 32)
    throw fault('ipnet', `\`${text}\` is not ADDRESS/PREFIX`);
  const number = parts.reduce((sum, part) => sum * 256 + part, 0);
  const size = 2 ** (32 - bits);
  const base = Math.floor(number / size) * size;
  return `${[24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join('.')}/${bits}`;
}

function yamlText(value: unknown): string {
  // JSON is YAML 1.2, so the flow form is exact for every value.
  return JSON.stringify(given('yaml', value));
}

/** The helpers of the language; the last argument Handlebars passes is its own options. */
export const helpers: Readonly<Record<string, (...args: never[]) => unknown>> = {
  sh: (value: unknown) => `'${textOf('sh', value).replaceAll("'", `'\\''`)}'`,
  sql: (value: unknown) => {
    const known = given('sql', value);
    if (known === null) return 'NULL';
    if (typeof known === 'number' || typeof known === 'boolean') return String(known);
    return `'${textOf('sql', known).replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\0', '\\0')}'`;
  },
  default: (value: unknown, otherwise: unknown) => value ?? otherwise,
  join: (value: unknown, separator: unknown) => {
    const list = given('join', value);
    if (!Array.isArray(list)) throw fault('join', 'takes a list');
    return list.join(typeof separator === 'string' ? separator : ', ');
  },
  json: (value: unknown) => JSON.stringify(given('json', value)),
  yaml: yamlText,
  b64: (value: unknown) => Buffer.from(textOf('b64', value)).toString('base64'),
  ipnet: network,
  indent: (value: unknown, by: unknown) => {
    const pad = ' '.repeat(typeof by === 'number' ? by : 2);
    return textOf('indent', value).replaceAll('\n', `\n${pad}`);
  },
  add: (a: unknown, b: unknown) => {
    const sum = Number(a) + Number(b);
    if (!Number.isFinite(sum)) throw new Error('`add` wants two numbers');
    return sum;
  },
  eq: (a: unknown, b: unknown) => a === b,
  and: (a: unknown, b: unknown) => Boolean(a) && Boolean(b),
  or: (a: unknown, b: unknown) => Boolean(a) || Boolean(b),
  not: (a: unknown) => !a,
} as Readonly<Record<string, (...args: never[]) => unknown>>;
