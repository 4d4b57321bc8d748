import { LIMITS } from '#shared/protocol/limits.ts';

/** Milliseconds to wait before the next start, after so many deaths in a row: none, then none, then doubling up to a bound. */
export function restartDelayMs(deathsInARow: number): number {
  const { restartMinMs, restartMaxMs } = LIMITS.compute;
  if (deathsInARow < 2) return 0;
  return Math.min(restartMinMs * 2 ** (deathsInARow - 2), restartMaxMs);
}
