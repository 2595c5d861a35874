import type { Pair } from './_pair.ts';
import { blocks } from './pairs/blocks.ts';

export const PAIRS: readonly Pair[] = [...blocks];
