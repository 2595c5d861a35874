import { z } from 'zod';
import { StepFailed } from '../../core/error.ts';
import type { Checked, Context } from '../../core/module.ts';
import { state } from '../../core/module.ts';
import { renderLocal } from '../_local.ts';
import { lastWords, must, succeeded } from '../_sh.ts';

const params = z.strictObject({
  src: z
    .string()
    .default('drbd.res.hbs')
    .describe('Handlebars template on the jump host: beside the playbook or in templates/')
    .meta({ localFile: true, template: true }),
  dest: z
    .string()
    .regex(/^\/.*\.(res|conf)$/, 'an absolute path that ends in .res or .conf')
    .describe('The file on the node: /etc/drbd.d/NAME.res, or /etc/drbd.d/global_common.conf'),
});
type Params = z.output<typeof params>;

/**
 * `$1` candidate, `$2` file. All of DRBD's configuration is read with the candidate in the file's place (drbdadm(8), dump);
 * where it is refused the file is as it was.
 */
const SWAP = `
at=$(mktemp -d) || exit 1
trap 'rm -rf "$at" "$1"' EXIT
cp -a /etc/drbd.d "$at/drbd.d" && cp "$1" "$at/drbd.d/\${2##*/}" || exit
printf 'include "%s/drbd.d/global_common.conf";\\ninclude "%s/drbd.d/*.res";\\n' "$at" "$at" >"$at/drbd.conf"
said=$(drbdadm -c "$at/drbd.conf" dump all 2>&1 >/dev/null) || { printf '%s\\n' "$said" >&2; exit 65; }
chmod 640 "$1" && mv -f "$1" "$2"
`;

async function check(ctx: Context, params: Params): Promise<Checked> {
  const wanted = await renderLocal(ctx, params.src);
  const now = await must(ctx, `${params.dest} cannot be read`, '[ ! -e "$1" ] || cat "$1"', {
    args: [params.dest],
    isLook: true,
  });
  return {
    changes: now === wanted ? [] : [{ what: params.dest, before: now, after: wanted }],
    result: { dest: params.dest },
  };
}

export default state({
  summary: 'A file of DRBD’s configuration; read by drbdadm with all the others before it is put in place',
  source: 'drbd.conf(5), drbdadm(8)',
  params,
  shorthand: 'src',
  examples: `
- name: Settings of the resource
  drbd.config: { src: drbd.res.hbs, dest: /etc/drbd.d/drbd3.res }
`,
  returns: { dest: z.string().describe('The file') },
  check,
  async apply(ctx, params) {
    const candidate = `${params.dest}.drillbook`;
    await ctx.put(candidate, await renderLocal(ctx, params.src), 0o600);
    const said = await ctx.job(SWAP, { args: [candidate, params.dest] });
    if (said.code === 65)
      throw new StepFailed(
        `drbdadm refuses ${params.dest}: ${lastWords(said)}`,
        { stderr: said.stderr },
        { hint: `${params.dest} was left as it is` },
      );
    succeeded(`${params.dest} could not be put in place`, said);
    return undefined;
  },
});
