import { LIMITS } from '#shared/protocol/limits.ts';

/** Expiries are kept apart to the minute, so that forgetting is dropping whole sets. */
const BUCKET_MS = 60_000;

export type Freshness = 'fresh' | 'replayed' | 'too_many';

/**
 * Remembers what was accepted until it expires on its own. Bounded twice: one sender cannot fill it, and when it
 * is full of many senders' statements, those that expire soonest are forgotten first.
 */
export class ReplayCache {
  readonly #buckets = new Map<number, Map<string, string>>();
  readonly #perSender = new Map<string, number>();
  #size = 0;
  readonly #capacity: number;

  constructor(capacity: number = LIMITS.statement.rememberedCount) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#size;
  }

  /** Answers whether `nonce` of `sender` was seen before, and remembers it until `untilMs` (Unix milliseconds). */
  check(sender: string, nonce: string, untilMs: number, nowMs: number): Freshness {
    this.#forgetBefore(Math.floor(nowMs / BUCKET_MS));
    const key = `${sender} ${nonce}`;
    const at = Math.floor(untilMs / BUCKET_MS) + 1;
    // The expiry is signed, so a replay carries the same one and finds the same bucket.
    const bucket = this.#buckets.get(at) ?? new Map<string, string>();
    if (bucket.has(key)) return 'replayed';
    const count = this.#perSender.get(sender) ?? 0;
    if (count >= LIMITS.statement.rememberedPerSenderCount) return 'too_many';
    if (this.#size >= this.#capacity) this.#drop(Math.min(...this.#buckets.keys()));
    bucket.set(key, sender);
    this.#buckets.set(at, bucket);
    this.#perSender.set(sender, (this.#perSender.get(sender) ?? 0) + 1);
    this.#size += 1;
    return 'fresh';
  }

  #forgetBefore(minute: number): void {
    for (const at of this.#buckets.keys()) if (at < minute) this.#drop(at);
  }

  #drop(at: number): void {
    const bucket = this.#buckets.get(at);
    if (bucket === undefined) return;
    this.#buckets.delete(at);
    this.#size -= bucket.size;
    for (const sender of bucket.values()) {
      const left = (this.#perSender.get(sender) ?? 0) - 1;
      if (left > 0) this.#perSender.set(sender, left);
      else this.#perSender.delete(sender);
    }
  }
}
