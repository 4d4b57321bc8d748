import type { CheckPolicy } from '#shared/protocol/work-messages.ts';

/** Valid results in a row before a peer's answers may pass unchecked, per model and backend (as in BOINC). */
export const PROVEN_STREAK = 10;
/** However long the streak, this share of answers is checked. */
export const LEAST_CHECKED = 0.01;

/** trust: take it as it is. verify: wait for a second peer, or for the referee. referee: compute it here. */
export type CheckDecision = 'trust' | 'verify' | 'referee';

/**
 * What is to be done with an answer that has arrived. Decided afterwards, so that no peer knows beforehand which of its
 * answers will be looked at. `random` is uniform in [0, 1).
 */
export function decideCheck(policy: CheckPolicy, streak: number, random: number): CheckDecision {
  if (policy === 'referee') return 'referee';
  if (policy === 'full') return 'verify';
  return streak >= PROVEN_STREAK && random >= Math.max(LEAST_CHECKED, 1 / streak) ? 'trust' : 'verify';
}

const FORGIVEN_LIES = 2;
const FIRST_SHUNNING_MS = 30_000;
const LONGEST_SHUNNING_MS = 24 * 3_600_000;

/** How long a peer gets no lease after its n-th lie: two may be bad luck, then it doubles. */
export function shunnedMs(lies: number): number {
  if (lies <= FORGIVEN_LIES) return 0;
  return Math.min(FIRST_SHUNNING_MS * 2 ** Math.min(lies - FORGIVEN_LIES - 1, 20), LONGEST_SHUNNING_MS);
}
