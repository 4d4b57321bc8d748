import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** The agent's figures, named after Prometheus' conventions: hearth_<what>_<unit>[_total]. */
export interface Metrics {
  readonly registry: Registry;
  readonly shards: Counter<'outcome'>;
  readonly shardSeconds: Histogram<'backend'>;
  readonly earnedTokens: Counter;
  readonly settledTokens: Counter;
  readonly vouchers: Counter<'verdict'>;
  readonly transferBytes: Counter<'direction'>;
  readonly peers: Gauge;
  readonly executorRestarts: Gauge;
}

/** Figures that are read at the moment somebody asks for them. */
export interface Gathered {
  peers(): number;
  executorRestarts(): number;
}

export function createMetrics(gathered: Gathered = { peers: () => 0, executorRestarts: () => 0 }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  // The default of 10 ms wakes an idle agent a hundred times a second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 500 });
  return {
    registry,
    shards: new Counter({
      name: 'hearth_shards_total',
      help: 'Shards by what became of them',
      labelNames: ['outcome'],
      registers,
    }),
    shardSeconds: new Histogram({
      name: 'hearth_shard_seconds',
      help: 'Time inside the runtime per shard',
      labelNames: ['backend'],
      buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
      registers,
    }),
    earnedTokens: new Counter({
      name: 'hearth_earned_tokens_total',
      help: 'Pay promised by vouchers, in whole tokens',
      registers,
    }),
    settledTokens: new Counter({
      name: 'hearth_settled_tokens_total',
      help: 'Pay settled on chain, in whole tokens',
      registers,
    }),
    vouchers: new Counter({
      name: 'hearth_vouchers_total',
      help: 'Vouchers received by verdict',
      labelNames: ['verdict'],
      registers,
    }),
    transferBytes: new Counter({
      name: 'hearth_transfer_bytes_total',
      help: 'Content and tensors moved',
      labelNames: ['direction'],
      registers,
    }),
    peers: new Gauge({
      name: 'hearth_peers',
      help: 'Connected peers',
      registers,
      collect() {
        this.set(gathered.peers());
      },
    }),
    executorRestarts: new Gauge({
      name: 'hearth_executor_restarts',
      help: 'Executor processes restarted since the agent started',
      registers,
      collect() {
        this.set(gathered.executorRestarts());
      },
    }),
  };
}
