import type { ProviderEvent } from '#shared/model/events.ts';
import type { AgentState } from '#shared/model/state.ts';
import { assertNever } from '#shared/result.ts';

/** The next state after one fact. Pure; the same object where the fact changes nothing that is shown. */
export function fold(state: AgentState, event: ProviderEvent): AgentState {
  switch (event.type) {
    case 'model.fetched':
      return state.work === undefined ? state : { ...state, work: { ...state.work, modelCid: event.modelCid } };
    case 'work.joined':
      return {
        ...state,
        phase: 'working',
        reason: undefined,
        work: {
          requester: event.peerId,
          offerId: event.offerId,
          modelCid: undefined,
          since: event.at,
          leaseShards: 0,
          shardsDone: 0,
          lastShardMs: undefined,
        },
      };
    case 'work.ended':
      return {
        ...state,
        phase: 'looking',
        work: undefined,
        ...(event.error === undefined ? {} : { lastError: event.error }),
      };
    case 'lease.received':
      return state.work === undefined ? state : { ...state, work: { ...state.work, leaseShards: event.shards } };
    case 'shard.computed':
      return {
        ...state,
        shards: { ...state.shards, computed: state.shards.computed + 1 },
        work:
          state.work === undefined
            ? undefined
            : {
                ...state.work,
                shardsDone: state.work.shardsDone + 1,
                lastShardMs: event.ms,
              },
      };
    case 'shard.failed':
      return { ...state, shards: { ...state.shards, failed: state.shards.failed + 1 } };
    case 'shard.accepted':
      return { ...state, shards: { ...state.shards, accepted: state.shards.accepted + 1 } };
    case 'shard.refused':
      return { ...state, shards: { ...state.shards, refused: state.shards.refused + 1 } };
    case 'voucher.received':
      return { ...state, money: { ...state.money, earnedWei: sum(state.money.earnedWei, event.addedWei) } };
    case 'settlement.done':
      return {
        ...state,
        money: {
          ...state.money,
          settledWei: sum(state.money.settledWei, event.paidWei),
          lastTransaction: event.transactionHash,
        },
      };
    case 'voucher.refused':
    case 'settlement.failed':
      return { ...state, lastError: event.error };
    case 'provider.paused':
      return { ...state, phase: 'paused', reason: event.error.message, lastError: event.error };
    case 'offer.seen':
    case 'offer.refused':
    case 'channel.closed':
      return state;
    default:
      return assertNever(event);
  }
}

function sum(a: string, b: string): string {
  return (BigInt(a) + BigInt(b)).toString();
}
