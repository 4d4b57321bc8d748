import { wei, type Wei } from '#shared/units.ts';

/** The contract keeps deposits in 96 bits. */
const MOST_DEPOSIT = (1n << 96n) - 1n;
/** One deposit is this part of the budget, so that several providers can be paid at once. */
const PARTS = 16n;
/** ... but worth a transaction: at least this many shards. */
const LEAST_SHARDS = 64n;

/**
 * What to put into a channel now: a part of the budget, never more than is left of it. Undefined where not even one
 * shard's pay is left.
 */
export function nextDeposit(budget: {
  readonly budgetWei: Wei;
  /** Deposits of all of the job's channels so far. */
  readonly depositedWei: Wei;
  readonly priceWei: Wei;
}): Wei | undefined {
  const { budgetWei, depositedWei, priceWei } = budget;
  const left = budgetWei - depositedWei;
  if (left < priceWei || left <= 0n) return undefined;
  const part = budgetWei / PARTS;
  const least = priceWei * LEAST_SHARDS;
  const wanted = part > least ? part : least;
  const amount = wanted < left ? wanted : left;
  return wei(amount < MOST_DEPOSIT ? amount : MOST_DEPOSIT);
}

/** True once four fifths of a deposit are spoken for. */
export function isRunningLow(depositWei: Wei, spokenForWei: Wei): boolean {
  return spokenForWei * 5n >= depositWei * 4n;
}
