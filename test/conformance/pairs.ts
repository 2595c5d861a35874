import type { Pair } from './_pair.ts';
import { blocks } from './pairs/blocks.ts';
import { handlers } from './pairs/handlers.ts';
import { loops } from './pairs/loops.ts';

export const PAIRS: readonly Pair[] = [...blocks, ...handlers, ...loops];
