import type { Change, Checked, Context, Module, Outcome } from '../core/module.ts';
import { shortened } from '../core/text.ts';
import type { Scope } from '../parse/template.ts';
import { paramMeta } from '../plan/params.ts';
import type { Step } from '../plan/plan.ts';
import type { Attempting } from './attempts.ts';
import type { Ended } from './ended.ts';
import { paramsOf } from './params.ts';

const says = (changes: readonly Change[]): string => changes.map((change) => change.what).join(', ');

const acting = <T>({ whileActing }: Attempting, act: () => Promise<T>): Promise<T> =>
  whileActing === undefined ? act() : whileActing(act);

/** What a state module was about to change, as an attempt keeps it. */
const FOUND = 'found';

async function ensure(
  module: Extract<Module, { kind: 'state' }>,
  ctx: Context,
  params: Record<string, unknown>,
  a: Attempting,
  kept: ReadonlyMap<string, unknown>,
): Promise<Ended> {
  const { isCheck, ledger } = a;
  const found = await module.check(ctx, params);
  const isFine = found.changes.length === 0;
  // For a step that only ever looks (`check_mode: true`): what is decided by it must not count as a change.
  if (isCheck) {
    const result = { ...found.result, would_change: !isFine };
    return { outcome: isFine ? 'ok' : 'changed', result, changes: found.changes };
  }
  const isBegun = kept.has(FOUND);
  if (isFine && !isBegun) return { outcome: 'ok', result: found.result ?? {} };
  await ledger?.beforeAct(() => true);
  // In the journal before the change: taken up again it is told as what it is, and only then. What was looked up before
  // may read otherwise after it, so that all of that is durable too.
  const { changes } = await ctx.keep(FOUND, () => Promise.resolve({ changes: found.changes }));
  if (isFine) return { outcome: 'changed', result: found.result ?? {}, changes };
  const after: Checked =
    (await acting(a, () => module.apply(ctx, params, found))) ?? (await module.check(ctx, params));
  const result = after.result ?? found.result ?? {};
  if (after.changes.length === 0) return { outcome: 'changed', result, changes };
  return {
    outcome: 'failed',
    result,
    changes,
    reason: `the change did not take: still to do: ${says(after.changes)}`,
  };
}

/** How what a module said ends the attempt. */
export const endedOf = ({ result, failed, isChanged }: Outcome, kind: 'action' | 'query'): Ended =>
  failed !== undefined
    ? { outcome: 'failed', result, reason: shortened(failed) }
    : { outcome: kind === 'action' && isChanged !== false ? 'changed' : 'ok', result };

async function foresee(
  module: Extract<Module, { kind: 'action' }>,
  ctx: Context,
  params: Record<string, unknown>,
): Promise<Ended> {
  const isChanged = module.wouldChange ? await module.wouldChange(ctx, params) : true;
  return {
    outcome: isChanged ? 'changed' : 'ok',
    result: { is_foreseen: true },
    ...(isChanged ? { reason: 'would run' } : {}),
  };
}

/** An action, its obligation told before it begins. */
async function act(
  module: Extract<Module, { kind: 'action' }>,
  ctx: Context,
  params: Record<string, unknown>,
  a: Attempting,
): Promise<Ended> {
  const { ledger } = a;
  await ledger?.beforeAct(() => module.wouldChange?.(ctx, params) ?? true);
  const ended = endedOf(await acting(a, () => module.run(ctx, params)), 'action');
  if (ended.outcome === 'ok') ledger?.sawNoChange();
  return ended;
}

/** Runs the module once; under check, actions only say that they would run. */
export async function perform(
  step: Step,
  module: Module,
  ctx: Context,
  scope: Scope,
  a: Attempting,
  kept: ReadonlyMap<string, unknown>,
): Promise<Ended> {
  const params = paramsOf(step, module, scope);
  for (const [name, value] of Object.entries(params)) {
    if (typeof value === 'string' && paramMeta(module, name).secret) ctx.secret(value);
  }
  a.ledger?.learn(params);
  if (module.kind === 'state') return ensure(module, ctx, params, a, kept);
  if (module.kind === 'query') {
    const hasty = a.isCheck && a.isBlurred ? module.inHaste?.(params) : undefined;
    return endedOf(await module.read(ctx, hasty ?? params), 'query');
  }
  return a.isCheck ? foresee(module, ctx, params) : act(module, ctx, params, a);
}
