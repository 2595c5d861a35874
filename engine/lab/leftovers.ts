import { readFile, readdir } from 'node:fs/promises';
import { machinesOf } from './machine.ts';
import { interfacesOf } from './network.ts';
import { labDir, labId, labNames } from './state.ts';

/** What there still is on this machine of a lab: interfaces, control groups, processes, files. Empty after `down`. */
export async function leftovers(name: string): Promise<readonly string[]> {
  const found = (await interfacesOf(name)).map((one) => `interface ${one}`);
  for (const [node, pid] of await machinesOf(name))
    found.push(`control group of ${node} (pid ${pid ?? 'none'})`);
  if ((await labNames()).includes(name)) found.push(`folder ${labDir(name)}`);
  return [...found, ...(await processesOf(name))];
}

/** By their mounts and arguments, so that a process outside its control group is found as well. Nodes of other labs have copies of our mounts. */
async function processesOf(name: string): Promise<readonly string[]> {
  const found: string[] = [];
  const others = new RegExp(`/drillbook-(?!${labId(name)}-)`);
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || pid === String(process.pid)) continue;
    const read = (file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
    if (others.test(await read('cgroup'))) continue;
    const text = (await read('mountinfo')) + (await read('cmdline')).replaceAll('\0', '\n');
    if (text.includes(`${labDir(name)}/`)) found.push(`process ${pid}`);
  }
  return found;
}
