import type { ProviderEvent } from '#shared/model/events.ts';
import type { Metrics } from './metrics.ts';

/** Counts one fact of paid work. Token amounts become floating-point numbers here and nowhere else: for charts, not for sums. */
export function countEvent(metrics: Metrics, event: ProviderEvent, decimals: number): void {
  const tokens = (amount: string): number => Number(amount) / 10 ** decimals;
  switch (event.type) {
    case 'shard.computed':
      metrics.shards.inc({ outcome: 'computed' });
      metrics.shardSeconds.observe({ backend: event.backend }, event.ms / 1000);
      metrics.transferBytes.inc({ direction: 'out' }, event.bytes);
      break;
    case 'shard.accepted':
      metrics.shards.inc({ outcome: 'accepted' });
      break;
    case 'shard.refused':
      metrics.shards.inc({ outcome: 'refused' });
      break;
    case 'shard.failed':
      metrics.shards.inc({ outcome: 'failed' });
      break;
    case 'lease.received':
    case 'model.fetched':
      metrics.transferBytes.inc({ direction: 'in' }, event.bytes);
      break;
    case 'voucher.received':
      metrics.vouchers.inc({ verdict: 'accepted' });
      metrics.earnedTokens.inc(tokens(event.addedWei));
      break;
    case 'voucher.refused':
      metrics.vouchers.inc({ verdict: 'refused' });
      break;
    case 'settlement.done':
      metrics.settledTokens.inc(tokens(event.paidWei));
      break;
    default:
      break;
  }
}
