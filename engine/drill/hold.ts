import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { drillDir } from './record.ts';

const fileOf = (stateDir: string, drill: string): string => join(drillDir(stateDir, drill), 'lock.sqlite');

function take(file: string): DatabaseSync | undefined {
  const database = new DatabaseSync(file);
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return database;
  } catch {
    database.close();
    return undefined;
  }
}

/** Marks a drill as under way; the kernel takes the mark away when this process dies, however it dies. */
export function holdDrill(stateDir: string, drill: string): () => void {
  mkdirSync(drillDir(stateDir, drill), { recursive: true, mode: 0o700 });
  const held = take(fileOf(stateDir, drill));
  return () => held?.close();
}

/** True for a drill of this machine that has ended, or died: what it held is nobody's. */
export function isDrillOver(stateDir: string, drill: string): boolean {
  const file = fileOf(stateDir, drill);
  if (!existsSync(file)) return false;
  const held = take(file);
  held?.close();
  return held !== undefined;
}
