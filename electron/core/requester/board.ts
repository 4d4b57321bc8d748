import type { Backend } from '#core/compute/port.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { ACCEPTED_ANSWERS, type AnswerState, type ShardState } from '#shared/model/job-states.ts';
import type { LeaseId } from '#shared/protocol/work-messages.ts';
import type { PeerIdText, Sha256Hex } from '#shared/units.ts';

export interface BoardAnswer {
  readonly peer: PeerIdText;
  readonly leaseId: LeaseId;
  state: AnswerState;
  readonly digest: Sha256Hex;
  readonly backend: Backend;
  /** In memory while it waits; after a restart in the ledger only. */
  outputs: NamedTensors | undefined;
}

export interface BoardShard {
  readonly index: number;
  state: ShardState;
  inputDigest: Sha256Hex;
  failures: number;
  readonly answers: Map<PeerIdText, BoardAnswer>;
  /** Peers that have it leased and have not answered. */
  readonly holders: Set<PeerIdText>;
  /** Peers that could not compute it. */
  readonly failedAt: Set<PeerIdText>;
  /** Unix milliseconds since when it waits for a second opinion. */
  waitingSince: number;
  /** The referee has it. */
  refereed: boolean;
  /** Whose outputs are right: a peer, or 'referee'; set when verified. */
  source: string | undefined;
  outputs: NamedTensors | undefined;
}

/** Shards of one job that are in the air, as the requester's memory holds them; the ledger has the same on disk. */
export class Board {
  readonly shards = new Map<number, BoardShard>();
  /** Came back without an answer. */
  readonly queued = new Set<number>();
  /** One answer, and nobody else at work on them yet. */
  readonly waiting = new Set<number>();
  /** First shard never leased. */
  nextIndex: number;
  /** Shards in all, once that is known. */
  count: number | undefined;

  constructor(nextIndex: number, count: number | undefined) {
    this.nextIndex = nextIndex;
    this.count = count;
  }

  /** True once there is no shard left that was never leased. */
  get exhausted(): boolean {
    return this.count !== undefined && this.nextIndex >= this.count;
  }

  /** No shard that was never leased will be. */
  stopAtNext(): void {
    this.count = Math.min(this.count ?? Infinity, this.nextIndex);
  }

  /**
   * Marks up to `max` shards as held by the peer: those that wait for a second opinion first, then those that came back,
   * then new ones.
   */
  take(peer: PeerIdText, max: number, mostInTheAir: number): BoardShard[] {
    const taken: BoardShard[] = [];
    for (const pool of [this.waiting, this.queued]) {
      for (const index of pool) {
        if (taken.length >= max) return taken;
        const shard = this.shards.get(index);
        if (shard === undefined || shard.refereed || shard.answers.has(peer) || shard.failedAt.has(peer)) continue;
        pool.delete(index);
        shard.holders.add(peer);
        taken.push(shard);
      }
    }
    while (taken.length < max && !this.exhausted && this.shards.size < mostInTheAir) {
      const shard = emptyShard(this.nextIndex);
      shard.holders.add(peer);
      this.shards.set(shard.index, shard);
      this.nextIndex += 1;
      taken.push(shard);
    }
    return taken;
  }

  /** Takes a shard out of a peer's hands. Answers true where nobody holds it now and nobody has answered. */
  release(shard: BoardShard, peer: PeerIdText): boolean {
    shard.holders.delete(peer);
    if (shard.holders.size > 0) return false;
    if (shard.state === 'answered' && !shard.refereed) this.waiting.add(shard.index);
    return shard.state === 'assigned' || shard.state === 'queued';
  }

  /** Anything that this peer could be given now? */
  hasWorkFor(peer: PeerIdText, mostInTheAir: number): boolean {
    if (!this.exhausted && this.shards.size < mostInTheAir) return true;
    for (const pool of [this.waiting, this.queued]) {
      for (const index of pool) {
        const shard = this.shards.get(index);
        if (shard !== undefined && !shard.refereed && !shard.answers.has(peer) && !shard.failedAt.has(peer))
          return true;
      }
    }
    return false;
  }

  waitingShards(): BoardShard[] {
    return [...this.waiting].flatMap((index) => this.shards.get(index) ?? []);
  }

  remove(shard: BoardShard): void {
    this.shards.delete(shard.index);
    this.queued.delete(shard.index);
    this.waiting.delete(shard.index);
  }
}

export function emptyShard(index: number): BoardShard {
  return {
    index,
    state: 'assigned',
    inputDigest: '' as Sha256Hex,
    failures: 0,
    answers: new Map(),
    holders: new Set(),
    failedAt: new Set(),
    waitingSince: 0,
    refereed: false,
    source: undefined,
    outputs: undefined,
  };
}

/** Answers that still wait for a ruling. */
export function openAnswers(shard: BoardShard): BoardAnswer[] {
  return [...shard.answers.values()].filter(({ state }) => state === 'received');
}

export function acceptedAnswers(shard: BoardShard): BoardAnswer[] {
  return [...shard.answers.values()].filter(({ state }) => ACCEPTED_ANSWERS.includes(state));
}

/** Nothing can happen to it any more but its payment and delivery. */
export function isRuled(shard: BoardShard): boolean {
  return shard.state === 'verified' || shard.state === 'settled' || shard.state === 'failed';
}
