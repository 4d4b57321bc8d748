import { DTYPES } from '../model/tensor.ts';
import type { AppError } from '../errors.ts';
import { appError } from '../errors.ts';
import { err, ok, type Result } from '../result.ts';
import { LIMITS } from './limits.ts';
import { blob, hexBytes, hexId, oneOf, ratio, sha256, text, uint, weiAmount } from './work-types.ts';
import {
  decode,
  encode,
  many,
  message,
  one,
  optional,
  type Infer,
  type MessageOf,
  type WireType,
} from './work-wire.ts';

/** Messages of the work protocol, docs/protocol/work.md; field numbers agree with work.proto. */
export const WORK_PROTOCOL = '/hearth/work/1.0';

declare const id: unique symbol;
/** 16 random bytes that name a job's offer, in lower-case hexadecimal. */
export type OfferId = string & { readonly [id]: 'offer' };
/** 16 random bytes that name a lease, in lower-case hexadecimal. */
export type LeaseId = string & { readonly [id]: 'lease' };

const bound = LIMITS.work;
const offerId = hexId<OfferId>(16);
const leaseId = hexId<LeaseId>(16);
const shardIndex = uint(bound.shardIndex);
const timestamp = uint(Number.MAX_SAFE_INTEGER);
const backend = oneOf(['cpu', 'webgpu', 'cuda']);
const sealed = blob(1, bound.sealedBytes);
/** Machine-readable reason, 'work.offer_unknown'; empty means all is well. */
const code = text(64);

export const offer = message({
  offerId: one(1, offerId),
  kind: one(2, oneOf(['inference'])),
  modelCid: one(3, text(128)),
  modelDigest: one(4, sha256),
  modelBytes: one(5, uint(LIMITS.content.fileBytes)),
  priceWei: one(6, weiAmount),
  /** An estimate: what is left to lease. */
  shardsOpen: one(7, uint(Number.MAX_SAFE_INTEGER)),
  maxShardsPerLease: one(8, uint(LIMITS.shard.perLeaseCount)),
  payer: one(9, hexBytes(20)),
  chainId: one(10, uint(Number.MAX_SAFE_INTEGER)),
  channels: one(11, hexBytes(20)),
  token: one(12, hexBytes(20)),
  /** Unix milliseconds. */
  deadline: one(13, timestamp),
  backends: many(14, backend, 3),
  /** Largest relative L2 distance between two right answers. */
  tolerance: one(15, ratio),
  checks: one(16, oneOf(['full', 'adaptive', 'referee'])),
  addresses: many(17, text(512), bound.addresses),
});
export type Offer = Infer<typeof offer>;
export type CheckPolicy = Offer['checks'];

const tensorSpec = message({
  name: one(1, text(bound.tensorNameBytes)),
  dtype: one(2, oneOf(DTYPES)),
  dims: many(3, uint(LIMITS.shard.inputBytes), bound.tensorRank),
});
/** Names, types and shapes of one shard's tensors, names ascending by UTF-16 code units. Shards share layouts. */
export const tensorLayout = message({ tensors: many(1, tensorSpec, bound.tensorsPerShard) });
export type TensorLayout = Infer<typeof tensorLayout>;
export type TensorSpec = Infer<typeof tensorSpec>;

const voucher = message({
  channelId: one(1, hexBytes(32)),
  cumulativeWei: one(2, weiAmount),
  /** Unix seconds. */
  expiresAt: one(3, timestamp),
  signature: one(4, hexBytes(65)),
});

/** Sealed in Join: binds the peer to its payee address and the offer. */
export const joinStatement = message({
  offerId: one(1, offerId),
  payee: one(2, hexBytes(20)),
  backend: one(3, backend),
});
export type JoinStatement = Infer<typeof joinStatement>;

/** Sealed in Lease: who may work on which inputs until when. */
export const leaseStatement = message({
  offerId: one(1, offerId),
  leaseId: one(2, leaseId),
  provider: one(3, text(128)),
  modelDigest: one(4, sha256),
  expiresAt: one(5, timestamp),
  layouts: many(6, tensorLayout, bound.layouts),
  shards: many(
    7,
    message({ index: one(1, shardIndex), layout: one(2, uint(bound.layouts - 1)), digest: one(3, sha256) }),
    LIMITS.shard.perLeaseCount,
  ),
});
export type LeaseStatement = Infer<typeof leaseStatement>;

/** Sealed in LeaseDone: what the provider vouches for. `leaseDigest` is the SHA-256 of the lease's statement, and so covers model and inputs. */
export const doneStatement = message({
  offerId: one(1, offerId),
  leaseId: one(2, leaseId),
  leaseDigest: one(3, sha256),
  outputs: many(4, message({ index: one(1, shardIndex), digest: one(2, sha256) }), LIMITS.shard.perLeaseCount),
});
export type DoneStatement = Infer<typeof doneStatement>;

const resultItem = message({
  index: one(1, shardIndex),
  code: one(2, code),
  layout: one(3, uint(bound.layouts - 1)),
  /** Absent where the shard failed. */
  digest: optional(4, sha256),
  computeMicros: one(5, timestamp),
});
export type ResultItem = Infer<typeof resultItem>;

const verdictItem = message({
  index: one(1, shardIndex),
  outcome: one(2, oneOf(['accepted', 'refused'])),
  code: one(3, code),
});
export type VerdictItem = Infer<typeof verdictItem>;

const bodies = {
  join: optional(
    1,
    message({
      sealed: one(1, sealed),
      /** Newest voucher held for this offer's channel. */
      voucher: optional(2, voucher),
      /** Leases whose results wait to be sent again; all others of this peer count as given back. */
      leases: many(3, leaseId, bound.resumedLeases),
    }),
  ),
  want: optional(2, message({ maxShards: one(1, uint(LIMITS.shard.perLeaseCount)) })),
  results: optional(
    3,
    message({
      leaseId: one(1, leaseId),
      layouts: many(2, tensorLayout, bound.layouts),
      items: many(3, resultItem, LIMITS.shard.perLeaseCount),
    }),
  ),
  leaseDone: optional(4, message({ leaseId: one(1, leaseId), sealed: one(2, sealed) })),
  voucherAck: optional(5, message({ cumulativeWei: one(1, weiAmount) })),
  leave: optional(6, message({ code: one(1, code) })),
  welcome: optional(
    11,
    message({
      channelId: one(1, hexBytes(32)),
      priceWei: one(2, weiAmount),
      leaseSeconds: one(3, uint(bound.leaseSeconds)),
      maxShardsPerLease: one(4, uint(LIMITS.shard.perLeaseCount)),
      voucher: optional(5, voucher),
    }),
  ),
  refuse: optional(
    12,
    message({ code: one(1, code), message: one(2, text(512)), retryAfterMs: one(3, uint(bound.retryAfterMs)) }),
  ),
  lease: optional(13, message({ sealed: one(1, sealed) })),
  wait: optional(14, message({ retryAfterMs: one(1, uint(bound.retryAfterMs)) })),
  verdicts: optional(
    15,
    message({ leaseId: one(1, leaseId), items: many(2, verdictItem, LIMITS.shard.perLeaseCount) }),
  ),
  pay: optional(16, message({ voucher: one(1, voucher) })),
  finished: optional(17, message({ code: one(1, code) })),
};

const envelope = message(bodies);
type Bodies = Required<MessageOf<typeof bodies>>;

/** One control frame, told apart by `kind`. */
export type WorkMessage = {
  readonly [K in keyof Bodies]: { readonly kind: K; readonly body: Bodies[K] };
}[keyof Bodies];
export type WorkMessageKind = WorkMessage['kind'];
export type BodyOf<K extends WorkMessageKind> = Bodies[K];

/** Bytes for a control frame. A message above the frame's limit is a fault of the caller, who sizes leases. */
export function encodeWorkMessage(content: WorkMessage): Uint8Array {
  const bytes = encode(envelope as WireType<Record<string, unknown>>, { [content.kind]: content.body });
  if (bytes.length > LIMITS.frame.controlBytes) throw new Error(`a ${content.kind} message of ${bytes.length} bytes`);
  return bytes;
}

/** Exactly one known kind must be there: an unknown kind is refused, unknown fields are not. */
export function decodeWorkMessage(bytes: Uint8Array): Result<WorkMessage, AppError<'work.message_invalid'>> {
  const decoded = decode(envelope, bytes);
  if (!decoded.ok) return decoded;
  const found = Object.entries(decoded.value);
  const only = found[0];
  if (found.length !== 1 || only === undefined) {
    return err(
      appError(
        'work.message_invalid',
        `The other side sent a frame with ${found.length} messages of known kind in it.`,
      ),
    );
  }
  return ok({ kind: only[0], body: only[1] } as WorkMessage);
}
