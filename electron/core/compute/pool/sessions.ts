import type { Sha256Hex } from '#shared/units.ts';
import { LIMITS } from '#shared/protocol/limits.ts';

export interface Session {
  readonly slot: number;
  readonly digest: Sha256Hex;
  readonly peakBytes: number;
  /** Names in the runtime's own order. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Which models an executor holds, least recently used first, within a budget of their estimated peaks. */
export class SessionTable {
  readonly #byDigest = new Map<Sha256Hex, Session>();
  readonly #budgetBytes: number;
  #nextSlot = 1;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** Counts as a use. */
  get(digest: Sha256Hex): Session | undefined {
    const session = this.#byDigest.get(digest);
    if (session !== undefined) {
      this.#byDigest.delete(digest);
      this.#byDigest.set(digest, session);
    }
    return session;
  }

  nextSlot(): number {
    const slot = this.#nextSlot;
    this.#nextSlot += 1;
    return slot;
  }

  /** Takes out, oldest first, what must go before a model of this peak fits. */
  makeRoom(peakBytes: number): readonly Session[] {
    const evicted: Session[] = [];
    let total = [...this.#byDigest.values()].reduce((sum, session) => sum + session.peakBytes, peakBytes);
    for (const session of this.#byDigest.values()) {
      if (total <= this.#budgetBytes && this.#byDigest.size < LIMITS.compute.sessions) break;
      this.#byDigest.delete(session.digest);
      total -= session.peakBytes;
      evicted.push(session);
    }
    return evicted;
  }

  add(session: Session): void {
    this.#byDigest.set(session.digest, session);
  }

  digests(): readonly Sha256Hex[] {
    return [...this.#byDigest.keys()];
  }

  clear(): void {
    this.#byDigest.clear();
  }
}
