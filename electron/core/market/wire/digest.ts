import { createHash, hash } from 'node:crypto';
import type { TensorLayout } from '#shared/protocol/work-messages.ts';
import { digestHeader } from '#shared/protocol/work-tensors.ts';
import { sha256Hex, type Sha256Hex } from '#shared/units.ts';

const headers = new WeakMap<TensorLayout, Uint8Array>();

/** SHA-256 that names a shard's tensors: header of the layout, then the tensors' bytes in its order. */
export function digestTensors(layout: TensorLayout, parts: readonly Uint8Array[]): Sha256Hex {
  let header = headers.get(layout);
  if (header === undefined) {
    header = digestHeader(layout);
    headers.set(layout, header);
  }
  const state = createHash('sha256').update(header);
  for (const part of parts) state.update(part);
  return sha256Hex(state.digest('hex'));
}

export function digestBytes(bytes: Uint8Array): Sha256Hex {
  return sha256Hex(hash('sha256', bytes, 'hex'));
}
