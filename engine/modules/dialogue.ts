import { z } from 'zod';
import { action } from '../core/module.ts';
import { chdir } from './_command.ts';
import { regexp } from './_regexp.ts';
import { lastLine, linesOf, trimmed } from './_sh.ts';
import { isTypable, NOT_TYPABLE } from './_typable.ts';

const response = z.strictObject({
  prompt: z
    .string()
    .min(1)
    .describe('JavaScript regular expression, matched against what was shown since the last answer.'),
  answer: z.coerce.string().refine(isTypable, NOT_TYPABLE).describe('What to type; Enter follows.'),
  secret: z.boolean().default(false).describe('Mask the answer wherever it would be shown (default false).'),
  optional: z.boolean().default(false).describe('The prompt may never come (default false).'),
});

const params = z.strictObject({
  cmd: z.string().min(1).describe('Shell text, run on a terminal of its own.'),
  responses: z
    .array(response)
    .min(1)
    .describe(
      'Prompts in the order they come, each with its `answer`; `secret: true` masks it, `optional: true` where it may not come.',
    ),
  chdir,
  expect_end: z
    .string()
    .optional()
    .describe('Regular expression that the output must match after the last answer.'),
  codes: z
    .array(z.number().int())
    .min(1)
    .default([0])
    .describe('Exit codes that mean success (default [0]).'),
});

export default action({
  summary: 'Runs a program that asks, and answers its prompts.',
  source: 'script(1), pty(7), termios(3)',
  params,
  examples: `
- dialogue:
    cmd: /etc/init.d/dbackup3-backupd config mysql
    responses:
      - { prompt: 'delete.*\\[y/N\\]', answer: y, optional: true }
      - { prompt: '[Hh]ost', answer: 127.0.0.1 }
      - { prompt: '[Pp]assword', answer: '{{catalog_password}}', secret: true }
      - { prompt: 'restart', answer: N }
`,
  returns: {
    code: z.int().describe('exit code'),
    output: z.string().describe('what the terminal showed; answers are not in it'),
    stdout_lines: z.array(z.string()).describe('the same as a list of lines'),
    answered: z.array(z.string()).describe('the prompts that came, as they were shown'),
  },
  isResumable: true,
  async run(ctx, given) {
    for (const { answer, secret } of given.responses) if (secret) ctx.secret(answer);
    const answers = given.responses.map(({ prompt, answer, optional }) => ({
      prompt: regexp(prompt, 'prompt', 'm'),
      answer,
      isOptional: optional,
    }));
    const end = given.expect_end === undefined ? undefined : regexp(given.expect_end, 'expect_end', 'm');
    const line = given.chdir === undefined ? given.cmd : 'cd -- "$2" || exit 1\neval "shift 2; $1"';
    const said = await ctx.dialogue(
      line,
      answers,
      given.chdir === undefined ? {} : { args: [given.cmd, given.chdir] },
    );
    const result = { ...said, stdout_lines: linesOf(said.output) };

    let came = 0;
    const missing = answers.find(({ prompt, isOptional }) => {
      if (prompt.test(said.answered[came] ?? '\0')) came++;
      else return !isOptional;
      return false;
    });
    const tail = trimmed(said.output).split('\n').slice(-3).join(' · ');
    if (missing !== undefined) {
      return {
        result,
        failed: `the prompt /${missing.prompt.source}/ never came; exit code ${said.code}, last shown: ${tail}`,
      };
    }
    if (!given.codes.includes(said.code))
      return { result, failed: `exit code ${said.code}: ${lastLine(said.output)}` };
    if (end !== undefined && !end.test(said.output)) {
      return { result, failed: `the output does not match /${end.source}/; last shown: ${tail}` };
    }
    return { result };
  },
});
