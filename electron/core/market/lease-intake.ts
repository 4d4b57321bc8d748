import { setImmediate as othersFirst } from 'node:timers/promises';
import { checkLayout, payloadBytes } from '#shared/protocol/work-tensors.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { leaseStatement, type LeaseStatement, type Offer, type TensorLayout } from '#shared/protocol/work-messages.ts';
import { decode } from '#shared/protocol/work-wire.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { MiB, type PeerIdText, type Sha256Hex } from '#shared/units.ts';
import type { ProviderContext } from './context.ts';
import { digestBytes, digestTensors } from './wire/digest.ts';
import { tensorsOfPayload } from './wire/payload.ts';
import type { LinkError, WorkLink } from './wire/work-link.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';

/** Hashed in one go; then whoever waits, the feeding of the executor above all, has its turn. */
const HASHED_AT_ONCE_BYTES = MiB;

export type LeaseError = LinkError | AppError<'work.lease_invalid' | 'work.input_altered'>;

export interface IncomingLease {
  readonly statement: LeaseStatement;
  /** The statement's bytes as the requester signed them, and their digest. */
  readonly signed: Uint8Array;
  readonly digest: Sha256Hex;
  readonly inputs: readonly NamedTensors[];
  readonly bytes: number;
}

/** Reads a lease and its inputs, and holds them against the offer and against each other. */
export async function receiveLease(
  context: ProviderContext,
  link: WorkLink,
  sealed: Uint8Array,
  expected: { readonly offer: Offer; readonly requester: PeerIdText; readonly maxShards: number },
): Promise<Result<IncomingLease, LeaseError>> {
  const verified = await context.network.unseal('lease', sealed);
  if (!verified.ok) return verified;
  if (verified.value.sender !== expected.requester) return err(refused('it is signed by somebody else'));
  const parsed = decode(leaseStatement, verified.value.payload);
  if (!parsed.ok) return parsed;
  const statement = parsed.value;
  const fault = statementFault(context, statement, expected);
  if (fault !== undefined) return err(fault);
  const layouts = layoutsOf(statement);
  if (!layouts.ok) return layouts;
  const payload = await link.payload(layouts.value);
  if (!payload.ok) return payload;
  let bytes = 0;
  let yieldedAt = 0;
  for (const [at, shard] of statement.shards.entries()) {
    const parts = payload.value[at] ?? [];
    const layout = layouts.value[at];
    if (layout === undefined || digestTensors(layout, parts) !== shard.digest) {
      return err(appError('work.input_altered', 'A shard’s inputs are not those that the requester signed for.'));
    }
    bytes += parts.reduce((sum, part) => sum + part.byteLength, 0);
    if (bytes - yieldedAt >= HASHED_AT_ONCE_BYTES) {
      yieldedAt = bytes;
      await othersFirst();
    }
  }
  const signed = verified.value.payload;
  const inputs = tensorsOfPayload(layouts.value, payload.value);
  return ok({ statement, signed, digest: digestBytes(signed), inputs, bytes });
}

function statementFault(
  context: ProviderContext,
  statement: LeaseStatement,
  expected: { readonly offer: Offer; readonly maxShards: number },
): LeaseError | undefined {
  const { offer, maxShards } = expected;
  const indices = new Set(statement.shards.map(({ index }) => index));
  if (statement.offerId !== offer.offerId) return refused('it belongs to another offer');
  if (statement.provider !== context.network.peerId) return refused('it is somebody else’s');
  if (statement.modelDigest !== offer.modelDigest) return refused('it is for another model');
  if (statement.expiresAt <= context.clock.now()) return refused('it has run out already');
  if (statement.shards.length === 0 || statement.shards.length > maxShards) {
    return refused(`it has ${statement.shards.length} shards where up to ${maxShards} were asked for`);
  }
  return indices.size === statement.shards.length ? undefined : refused('it names a shard twice');
}

/** The layout of each shard, in order, with all sizes within bounds. */
function layoutsOf(statement: LeaseStatement): Result<readonly TensorLayout[], LeaseError> {
  const layouts: TensorLayout[] = [];
  for (const layout of statement.layouts) {
    const checked = checkLayout(layout, LIMITS.shard.inputBytes);
    if (!checked.ok) return checked;
  }
  for (const shard of statement.shards) {
    const layout = statement.layouts[shard.layout];
    if (layout === undefined) return err(refused('a shard has no layout'));
    layouts.push(layout);
  }
  return payloadFits(layouts) ? ok(layouts) : err(refused('its inputs together are too large'));
}

function payloadFits(layouts: readonly TensorLayout[]): boolean {
  return layouts.length === 1 || payloadBytes(layouts) <= LIMITS.work.payloadBytes;
}

function refused(why: string): LeaseError {
  return appError('work.lease_invalid', `The requester sent a lease that cannot be taken: ${why}.`);
}
