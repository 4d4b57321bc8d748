import { LIMITS } from '#shared/protocol/limits.ts';
import { tensorLayout, type TensorLayout } from '#shared/protocol/work-messages.ts';
import { layoutKey } from '#shared/protocol/work-tensors.ts';
import { encode } from '#shared/protocol/work-wire.ts';
import { KiB } from '#shared/units.ts';

/** A sealed statement's payload must fit with its envelope, and a control frame with its other fields. */
const CONTROL_BYTES = 44 * KiB;
/** Index, digest, code, times and tags of one shard, at most. */
const ITEM_BYTES = 150;

/** Fills one message with shards until a bound is met: layouts are listed once and referred to by number. */
export class Packer {
  readonly layouts: TensorLayout[] = [];
  private readonly byKey = new Map<string, number>();
  private control = 0;
  private payload = 0;
  count = 0;

  get payloadBytes(): number {
    return this.payload;
  }

  /** Number of the layout, or undefined where the shard does not fit any more. The first one always fits. */
  add(layout: TensorLayout, bytes: number): number | undefined {
    const key = layoutKey(layout);
    const known = this.byKey.get(key);
    const layoutBytes = known === undefined ? encode(tensorLayout, layout).length + 8 : 0;
    const control = this.control + ITEM_BYTES + layoutBytes;
    const isFull =
      control > CONTROL_BYTES ||
      this.payload + bytes > LIMITS.work.payloadBytes ||
      this.count >= LIMITS.shard.perLeaseCount ||
      (known === undefined && this.layouts.length >= LIMITS.work.layouts);
    if (isFull && this.count > 0) return undefined;
    this.control = control;
    this.payload += bytes;
    this.count += 1;
    if (known !== undefined) return known;
    this.byKey.set(key, this.layouts.length);
    return this.layouts.push(layout) - 1;
  }
}
