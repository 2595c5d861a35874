import type { Prompt } from 'ssh2';

const OF_PASSWORD =
  /pass(?!code)|密码|口令|密碼|parol|пароль|contrase|kennwort|mot de passe|hasło|senha|パスワード|암호/i;
const OF_CODE = /code|token|otp|verif|factor|\bpin\b|duo|验证|動態|动态/i;

export type AskFor = (question: string, isSecret: boolean) => Promise<string>;

/** What a keyboard-interactive login is answered with. */
export interface Answers {
  readonly password: string | undefined;
  readonly ask: AskFor | undefined;
  /** Hears why there was no answer, for the message. */
  note(text: string): void;
}

/**
 * Answers the rounds of one keyboard-interactive login: the known password once, where it is what is asked for; anything
 * else (a code, a new password) is asked on the terminal. Undefined where nobody knows the answer.
 */
export function answerer(
  host: string,
  { password, ask, note }: Answers,
): (instructions: string, prompts: readonly Prompt[]) => Promise<string[] | undefined> {
  let isSpent = false;
  return async (instructions, prompts) => {
    const answers: string[] = [];
    for (const { prompt, echo } of prompts) {
      const isPassword =
        OF_PASSWORD.test(prompt) || (echo !== true && prompts.length === 1 && !OF_CODE.test(prompt));
      if (isPassword && password !== undefined && !isSpent) {
        isSpent = true;
        answers.push(password);
        continue;
      }
      const asked = prompt.trim();
      if (isPassword && isSpent && !ask) return undefined;
      if (!ask) {
        note(`it asks for \`${asked}\`, and there is no terminal to ask on`);
        return undefined;
      }
      const before = instructions.trim() === '' ? '' : `${instructions.trim()}\n`;
      answers.push(await ask(`${before}${host}: ${asked} `, echo !== true));
    }
    return answers;
  };
}
