import { DTYPE_BYTES, elementCount, type NamedTensors } from '#shared/model/tensor.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { TensorLayout } from '#shared/protocol/work-messages.ts';
import { tensorsOf } from '#shared/protocol/work-tensors.ts';

/**
 * Cuts a payload into data frames: small parts are gathered into full frames, large ones sent from where they lie.
 * No frame is empty, none above the limit.
 */
export function* framesOf(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  const { dataBytes } = LIMITS.frame;
  let gathered: Uint8Array | undefined;
  let used = 0;
  let left = parts.reduce((sum, part) => sum + part.byteLength, 0);
  for (const part of parts) {
    if (used > 0 && used + part.byteLength > dataBytes && gathered !== undefined) {
      yield gathered.subarray(0, used);
      gathered = undefined;
      used = 0;
    }
    if (part.byteLength >= dataBytes / 4) {
      if (gathered !== undefined && used > 0) yield gathered.subarray(0, used);
      gathered = undefined;
      used = 0;
      for (let at = 0; at < part.byteLength; at += dataBytes) yield part.subarray(at, at + dataBytes);
    } else if (part.byteLength > 0) {
      gathered ??= new Uint8Array(Math.min(dataBytes, left));
      gathered.set(part, used);
      used += part.byteLength;
    }
    left -= part.byteLength;
  }
  if (gathered !== undefined && used > 0) yield gathered.subarray(0, used);
}

interface Slot {
  readonly shard: number;
  readonly bytes: Uint8Array;
}

/** Puts arriving data frames where the layouts say. Each tensor starts at a multiple of 8, so that any typed view fits. */
export class PayloadReader {
  private readonly layouts: readonly TensorLayout[];
  private readonly slots: readonly Slot[];
  private slot = 0;
  private filled = 0;

  constructor(layouts: readonly TensorLayout[]) {
    this.layouts = layouts;
    this.slots = slotsOf(layouts);
    this.skipFull();
  }

  get complete(): boolean {
    return this.slot >= this.slots.length;
  }

  /** False where the frame holds more than was announced. */
  take(frame: Uint8Array): boolean {
    let at = 0;
    while (at < frame.byteLength) {
      const target = this.slots[this.slot];
      if (target === undefined) return false;
      const count = Math.min(frame.byteLength - at, target.bytes.byteLength - this.filled);
      target.bytes.set(frame.subarray(at, at + count), this.filled);
      this.filled += count;
      at += count;
      this.skipFull();
    }
    return true;
  }

  /** One entry per layout, in order. */
  parts(): readonly (readonly Uint8Array[])[] {
    const parts: Uint8Array[][] = this.layouts.map(() => []);
    for (const { shard, bytes } of this.slots) parts[shard]?.push(bytes);
    return parts;
  }

  private skipFull(): void {
    for (
      let next = this.slots[this.slot];
      next !== undefined && this.filled >= next.bytes.byteLength;
      next = this.slots[this.slot]
    ) {
      this.slot += 1;
      this.filled = 0;
    }
  }
}

/** One allocation a shard; the system gives real memory only to the pages that bytes arrive for. */
function slotsOf(layouts: readonly TensorLayout[]): Slot[] {
  const slots: Slot[] = [];
  for (const [shard, layout] of layouts.entries()) {
    const sizes = layout.tensors.map((spec) => elementCount(spec.dims) * DTYPE_BYTES[spec.dtype]);
    const buffer = new ArrayBuffer(sizes.reduce((sum, size) => sum + aligned(size), 0));
    let at = 0;
    for (const size of sizes) {
      slots.push({ shard, bytes: new Uint8Array(buffer, at, size) });
      at += aligned(size);
    }
  }
  return slots;
}

const aligned = (size: number): number => Math.ceil(size / 8) * 8;

/** Tensors of every shard of a payload. */
export function tensorsOfPayload(
  layouts: readonly TensorLayout[],
  parts: readonly (readonly Uint8Array[])[],
): readonly NamedTensors[] {
  return layouts.map((layout, at) => tensorsOf(layout, parts[at] ?? []));
}
