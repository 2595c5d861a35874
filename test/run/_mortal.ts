/*
 * Loaded before the program (`node --import`): puts a journal in the place of its own that kills the process at a
 * boundary, so that all else is the program as an operator starts it.
 */
import { registerHooks } from 'node:module';

const REAL = new URL('../../engine/run/journal/journal.ts', import.meta.url).href;
const MORTAL = new URL('_mortal-journal.ts', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    return found.url === REAL && context.parentURL !== MORTAL ? { ...found, url: MORTAL } : found;
  },
});
