/**
 * How many shards to ask for, so that a lease is about `targetMs` of work: long enough to make the round trip small,
 * short enough that a lost one costs little. Nothing is known at first, so it starts with one and grows fourfold.
 */
export function leaseSize(options: {
  /** Measured milliseconds a shard; undefined before the first. */
  readonly shardMs: number | undefined;
  readonly targetMs: number;
  /** Shards of the lease before; 0 at the beginning. */
  readonly previous: number;
  readonly max: number;
}): number {
  const { shardMs, targetMs, previous, max } = options;
  const growth = previous === 0 ? 1 : previous * 4;
  const wanted = shardMs === undefined ? growth : Math.round(targetMs / Math.max(shardMs, 0.001));
  return Math.max(1, Math.min(wanted, growth, max));
}

/** Weighted mean that forgets: a tenth of each new measurement, a third while it is far off. */
export function blend(previous: number | undefined, measured: number): number {
  if (previous === undefined) return measured;
  const isFar = measured > previous * 2 || measured < previous / 2;
  return previous + (measured - previous) * (isFar ? 1 / 3 : 1 / 10);
}
