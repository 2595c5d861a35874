import type { Lab } from '../../engine/lab/lab.ts';

/** Commands and statements on the nodes of a lab; whatever fails throws. */
export function shells(lab: () => Pick<Lab, 'ssh'>) {
  const sh = async (node: string, script: string, stdin?: string): Promise<string> => {
    const { code, stdout, stderr } = await lab().ssh(node, script, stdin === undefined ? {} : { stdin });
    if (code !== 0) throw new Error(`${script}: ${stderr}`);
    return stdout.trim();
  };
  // What is written with another database in use is not replicated (replicate-do-db).
  const sql = (node: string, statements: string): Promise<string> =>
    sh(node, 'mysql -BN --default-character-set=utf8mb4 dbackup3', statements);
  return { sh, sql };
}
