import { addressOf, labNames, readState } from './state.ts';

/** The lab of this machine whose nodes have all these addresses; undefined where one of them is none of its nodes'. */
export async function labWith(addresses: readonly string[]): Promise<string | undefined> {
  for (const name of await labNames()) {
    const state = await readState(name);
    if (state === undefined) continue;
    const own = state.nodes.map((node) => addressOf(state, node, 'mgmt'));
    if (addresses.length > 0 && addresses.every((address) => own.includes(address))) return name;
  }
  return undefined;
}
