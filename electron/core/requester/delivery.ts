import type { NamedTensors } from '#shared/model/tensor.ts';
import type { Board, BoardShard } from './board.ts';
import type { Job } from './job.ts';

export interface DeliveryParts {
  readonly board: Board;
  readonly job: Pick<Job, 'onOutput' | 'onFailed'>;
  readonly nextDelivery: number;
  /** Outputs from disk where memory has them no more. */
  readonly load: (shard: BoardShard) => NamedTensors | undefined;
  /** Stores how far the owner has got; false where it could not. */
  readonly delivered: (shards: readonly BoardShard[], nextDelivery: number) => boolean;
  readonly failureOf: (shard: BoardShard) => string;
  /** The owner's callback threw: nothing more is delivered. */
  readonly ownerFailed: (fault: unknown) => void;
}

/** How many are handed over before that is written down. */
const BATCH = 256;

/** Hands outputs to the job's owner in order, waiting for the owner each time. */
export class Delivery {
  private readonly parts: DeliveryParts;
  private working: Promise<void> | undefined;
  private again = false;
  private stopping = false;
  next: number;

  constructor(parts: DeliveryParts) {
    this.parts = parts;
    this.next = parts.nextDelivery;
  }

  poke(): void {
    this.again = true;
    this.working ??= this.loop();
  }

  /** Waits for the owner's last callback. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.working;
  }

  private async loop(): Promise<void> {
    while (this.again) {
      this.again = false;
      try {
        await this.work();
      } catch (fault) {
        this.stopping = true;
        this.parts.ownerFailed(fault);
      }
    }
    this.working = undefined;
  }

  private async work(): Promise<void> {
    for (;;) {
      const batch: BoardShard[] = [];
      while (batch.length < BATCH && !this.stopping) {
        const shard = this.parts.board.shards.get(this.next);
        if (shard === undefined || !isReady(shard)) break;
        await this.hand(shard);
        batch.push(shard);
        this.next += 1;
      }
      if (batch.length === 0 || !this.parts.delivered(batch, this.next)) return;
    }
  }

  private async hand(shard: BoardShard): Promise<void> {
    const { job, load, failureOf } = this.parts;
    if (shard.state === 'failed') {
      await job.onFailed?.(shard.index, failureOf(shard));
      return;
    }
    const outputs = shard.outputs ?? load(shard);
    if (outputs === undefined) throw new Error(`outputs of verified shard ${shard.index} are gone`);
    await job.onOutput(shard.index, outputs);
  }
}

function isReady(shard: BoardShard): boolean {
  return shard.state === 'verified' || shard.state === 'settled' || shard.state === 'failed';
}
