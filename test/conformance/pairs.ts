import type { Pair } from './_pair.ts';
import { blocks } from './pairs/blocks.ts';
import { handlers } from './pairs/handlers.ts';
import { loops } from './pairs/loops.ts';
import { plays } from './pairs/plays.ts';
import { selection } from './pairs/selection.ts';
import { values } from './pairs/values.ts';

export const PAIRS: readonly Pair[] = [...blocks, ...handlers, ...loops, ...plays, ...selection, ...values];
