import { LIMITS } from '#shared/protocol/limits.ts';
import { assertNever } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Misdeed } from '../port.ts';

/** What is remembered of a peer that misbehaved. Plain data: the ledger may store it as it is. */
export interface PeerRecord {
  readonly peerId: PeerIdText;
  /** Not positive; recovers towards zero by half in each half-life. As of `updatedAt`. */
  readonly score: number;
  /** Unix milliseconds. */
  readonly updatedAt: number;
  /** Bans so far; each doubles the next. One is forgotten for each quiet period. */
  readonly bans: number;
  readonly bannedUntil: number;
}

/** Keeps records over restarts. `save` must not throw; a lost record costs only memory of a misdeed. */
export interface ScoreStore {
  load(): readonly PeerRecord[];
  save(record: PeerRecord): void;
}

export interface ScoresOptions {
  readonly now: () => number;
  readonly store?: ScoreStore | undefined;
  readonly onBan?: (peer: PeerIdText, untilMs: number) => void;
}

function priceOf(misdeed: Misdeed): number {
  const { price } = LIMITS.score;
  switch (misdeed) {
    case 'invalid_message':
      return price.invalidMessage;
    case 'too_much':
      return price.tooMuch;
    case 'broken_lease':
      return price.brokenLease;
    case 'wrong_bytes':
      return price.wrongBytes;
    case 'wrong_result':
      return price.wrongResult;
    case 'bad_voucher':
      return price.badVoucher;
    default:
      return assertNever(misdeed);
  }
}

/** Who did what wrong lately. A score is never better than zero: good work shows in reputation on the chain, not here. */
export class Scores {
  readonly #options: ScoresOptions;
  readonly #records = new Map<PeerIdText, PeerRecord>();

  constructor(options: ScoresOptions) {
    this.#options = options;
    for (const record of options.store?.load() ?? []) this.#records.set(record.peerId, record);
  }

  score(peer: PeerIdText): number {
    const record = this.#records.get(peer);
    return record === undefined ? 0 : recovered(record, this.#options.now());
  }

  isBanned(peer: PeerIdText): boolean {
    const record = this.#records.get(peer);
    return record !== undefined && record.bannedUntil > this.#options.now();
  }

  report(peer: PeerIdText, misdeed: Misdeed): void {
    const now = this.#options.now();
    const before = this.#records.get(peer);
    const score = (before === undefined ? 0 : recovered(before, now)) - priceOf(misdeed);
    const bans = before === undefined ? 0 : rememberedBans(before, now);
    const alreadyBanned = before !== undefined && before.bannedUntil > now;
    const banned = score <= LIMITS.score.banBelow && !alreadyBanned;
    const { firstBanMs, longestBanMs } = LIMITS.score;
    const record: PeerRecord = {
      peerId: peer,
      // A ban is the punishment; what follows is judged anew.
      score: banned ? 0 : score,
      updatedAt: now,
      bans: banned ? bans + 1 : bans,
      bannedUntil: banned ? now + Math.min(firstBanMs * 2 ** bans, longestBanMs) : (before?.bannedUntil ?? 0),
    };
    this.#records.delete(peer);
    this.#records.set(peer, record);
    this.#forgetSome();
    this.#options.store?.save(record);
    if (banned) this.#options.onBan?.(peer, record.bannedUntil);
  }

  /** Peer ids are free to make: past the bound, the least recent record without a running ban goes first. */
  #forgetSome(): void {
    if (this.#records.size <= LIMITS.score.rememberedPeers) return;
    const now = this.#options.now();
    let oldest: PeerIdText | undefined;
    for (const [peer, record] of this.#records) {
      oldest ??= peer;
      if (record.bannedUntil > now) continue;
      this.#records.delete(peer);
      return;
    }
    if (oldest !== undefined) this.#records.delete(oldest);
  }
}

function recovered(record: PeerRecord, now: number): number {
  const halves = Math.max(0, now - record.updatedAt) / LIMITS.score.halfLifeMs;
  const score = record.score * 2 ** -halves;
  return score > -0.5 ? 0 : score;
}

function rememberedBans(record: PeerRecord, now: number): number {
  const quietMs = Math.max(0, now - Math.max(record.updatedAt, record.bannedUntil));
  return Math.max(0, record.bans - Math.floor(quietMs / LIMITS.score.banForgottenMs));
}
