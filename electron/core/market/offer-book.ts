import { LIMITS } from '#shared/protocol/limits.ts';
import { offer as offerType } from '#shared/protocol/work-messages.ts';
import { decode } from '#shared/protocol/work-wire.ts';
import type { VerifiedStatement } from '#core/network/port.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { OfferEntry } from './policy/choose-offer.ts';

interface BookEntry extends OfferEntry {
  readonly goodUntil: number;
}

export interface Heard {
  readonly entry: OfferEntry;
  readonly news: 'new' | 'moved';
}

/**
 * Offers heard and still standing. Bounded in all and per requester, so that a flood costs its sender's own offers
 * first; an offer that is no longer repeated runs out by itself.
 */
export class OfferBook {
  private readonly entries = new Map<string, BookEntry>();

  /**
   * Takes in a gossiped statement. Answers the entry when the offer is new or its requester has moved to other addresses,
   * undefined when it was only repeated or is refused.
   */
  hear(statement: VerifiedStatement): Heard | undefined {
    const parsed = decode(offerType, statement.payload);
    if (!parsed.ok) return undefined;
    const offer = parsed.value;
    // An id belongs to whoever used it first: nobody can replace another's offer.
    const key = `${statement.sender}/${offer.offerId}`;
    const before = this.entries.get(key);
    if (before === undefined && !this.makeRoom(statement.sender)) return undefined;
    const entry = { offer, requester: statement.sender, payload: statement.payload, goodUntil: statement.expiresAt };
    this.entries.delete(key);
    this.entries.set(key, entry);
    if (before === undefined) return { entry, news: 'new' };
    return before.offer.addresses.join() === offer.addresses.join() ? undefined : { entry, news: 'moved' };
  }

  /** Offers that have not run out, the most recently heard last. */
  standing(now: number): readonly OfferEntry[] {
    for (const [key, { goodUntil }] of this.entries) if (goodUntil <= now) this.entries.delete(key);
    return [...this.entries.values()];
  }

  remove(entry: OfferEntry): void {
    this.entries.delete(`${entry.requester}/${entry.offer.offerId}`);
  }

  /** A requester at its bound is refused; a full book forgets what it heard of longest ago. */
  private makeRoom(sender: PeerIdText): boolean {
    let own = 0;
    for (const { requester } of this.entries.values()) if (requester === sender) own += 1;
    if (own >= LIMITS.work.offersPerPeer) return false;
    const oldest = this.entries.keys().next();
    if (this.entries.size >= LIMITS.work.offers && oldest.done !== true) this.entries.delete(oldest.value);
    return true;
  }
}
