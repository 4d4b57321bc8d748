import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { AppError } from '#shared/errors.ts';
import type { ProviderEvent } from '#shared/model/events.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import type { Settings } from '#shared/model/settings.ts';
import { ok, type Result } from '#shared/result.ts';
import { GiB, MiB, wei } from '#shared/units.ts';
import { createIndexer, type Indexer } from './chain/indexer/indexer.ts';
import type { ExecutorFiles } from './compute/sandbox/command.ts';
import type { Compute } from './compute/port.ts';
import { choosePlacement, type Device } from './gpu/choose-placement.ts';
import { describeHost } from './gpu/inventory.ts';
import { identifyAgent } from './identify-agent.ts';
import type { PurseKey } from './key-file.ts';
import { openLedger } from './ledger/open-ledger.ts';
import type { ProviderLedger } from './ledger/provider-ledger.ts';
import { systemClock, type Clock } from './market/clock.ts';
import { createProvider, type Provider } from './market/provider.ts';
import type { Logger } from './obs/logger.ts';
import { createMetrics, type Metrics } from './obs/metrics.ts';
import { countEvent } from './obs/observe-agent.ts';
import { startPeer, type Peer } from './peer.ts';
import { StateHub } from './state/hub.ts';

export interface AgentOptions {
  readonly directory: string;
  readonly networkFile: NetworkFile;
  readonly settings: Settings;
  readonly wallet: PurseKey;
  readonly executor: ExecutorFiles;
  readonly logger: Logger;
  readonly onEvent?: (event: ProviderEvent) => void;
  /** Loopback only, no router, no WebRTC: the practice network. */
  readonly local?: boolean;
  /** Asked for coins when the purse is empty; only practice networks have one. */
  readonly findGas?: (() => Promise<void>) | undefined;
  readonly clock?: Clock;
  /** Tests put something between the market and the executors. */
  readonly wrapCompute?: (compute: Compute) => Compute;
}

/** A contributor's agent: everything between the network and the executors, without a screen. */
export interface Agent {
  readonly hub: StateHub;
  readonly metrics: Metrics;
  readonly indexer: Indexer;
  readonly provider: Provider;
  readonly peer: Peer;
  /** Graceful: finishes what has begun, waits a little for pay, settles. Otherwise at once; nothing is lost either way. */
  stop(options: { readonly graceful: boolean }): Promise<void>;
}

/** Builds and starts every service of a contributor, in the order in which they need each other. */
export async function startAgent(options: AgentOptions): Promise<Result<Agent, AppError>> {
  const { directory, networkFile, settings, logger } = options;
  const clock = options.clock ?? systemClock;
  const host = describeHost();

  const ledger = openLedger(path.join(directory, 'ledger.sqlite'), 'provider');
  if (!ledger.ok) return ledger;
  const started = await startPeer({
    directory,
    networkFile,
    wallet: options.wallet,
    logger,
    compute: computeOptions(options, host.cores),
    contentBytes: settings.storage.contentGiB * GiB,
    upnp: settings.listen.upnp && options.local !== true,
    webrtc: options.local !== true,
    listen: listenAddresses(settings, options.local === true),
  });
  if (!started.ok) {
    ledger.value.close();
    return started;
  }
  const peer = started.value;
  const device = choosePlacement(
    await peer.compute.backends(),
    settings.compute.backend,
    settings.compute.device,
    host.cpu,
  );
  if (!device.ok) {
    await peer.stop();
    ledger.value.close();
    return device;
  }

  const hub = new StateHub(initialState(networkFile, device.value, ledger.value, clock.now()));
  hub.patch({ identity: { peerId: peer.network.peerId, address: peer.chain.address, agentId: undefined } });
  const metrics = createMetrics({
    peers: () => peer.network.peers().length,
    executorRestarts: () => peer.compute.status().executors.reduce((total, { restarts }) => total + restarts, 0),
  });
  const emit = (event: ProviderEvent): void => {
    hub.tell(event);
    countEvent(metrics, event, networkFile.chain.token.decimals);
    logger.debug({ event }, event.type);
    options.onEvent?.(event);
  };
  const provider = createProvider({
    network: peer.network,
    content: peer.content,
    compute: options.wrapCompute?.(peer.compute) ?? peer.compute,
    chain: peer.chain,
    ledger: ledger.value,
    pay: {
      chainId: networkFile.chain.chainId,
      channels: networkFile.chain.contracts.channels,
      token: networkFile.chain.contracts.token,
    },
    settings: {
      minPriceWei: wei(BigInt(settings.market.minPriceWei)),
      creditShards: settings.market.creditShards,
      creditWei: wei(BigInt(settings.market.creditWei)),
      settlement: {
        amountWei: wei(BigInt(settings.settlement.amountWei)),
        ageMs: settings.settlement.ageMinutes * 60_000,
      },
    },
    placement: device.value.placement,
    clock,
    logger: logger.child({ part: 'market' }),
    onEvent: emit,
  });
  const index = new DatabaseSync(path.join(directory, 'chain-index.sqlite'));
  index.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  const indexer = createIndexer({
    request: peer.chain.request,
    network: networkFile,
    account: peer.chain.address,
    database: index,
    // A block of the slowest chains: earnings are known from our own receipts before.
    pollMs: 12_000,
  });

  const stopping = new AbortController();
  const follow = followNetwork(peer, hub, options.local === true);
  indexer.start(
    () => hub.patch({ reputation: indexer.queries.reputation() }),
    (fault) => logger.error({ err: fault }, 'chain index failed'),
  );
  const identified = identifyAgent({
    peer,
    clock,
    signal: stopping.signal,
    findGas: options.findGas,
    onTrouble: (error) => hub.patch({ reason: error.message, lastError: error }),
  }).then((identity) => {
    if (identity === undefined) return;
    const { agentId } = identity;
    hub.patch({ phase: 'looking', reason: undefined, lastError: undefined });
    hub.patch({ identity: { ...hub.state.identity, agentId: agentId.toString() } });
    provider.start();
  });

  return ok({
    hub,
    metrics,
    indexer,
    provider,
    peer,
    stop: async ({ graceful }) => {
      hub.patch({ phase: 'stopping', reason: undefined });
      stopping.abort();
      await identified;
      await provider.stop({ graceful });
      follow();
      await indexer.stop();
      await peer.stop();
      index.close();
      ledger.value.close();
      hub.patch({ phase: 'stopped', work: undefined });
    },
  });
}

function computeOptions({ executor, settings, logger }: AgentOptions, cores: number) {
  return {
    ...executor,
    threads: settings.compute.threads === 0 ? Math.max(1, Math.floor(cores / 2)) : settings.compute.threads,
    memoryBytes: settings.compute.memoryMiB * MiB,
    onDeath: (placement: unknown, end: unknown) => logger.warn({ placement, end }, 'executor died'),
  };
}

function listenAddresses({ listen }: Settings, local: boolean): readonly string[] {
  if (local) return ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'];
  return [
    `/ip4/0.0.0.0/tcp/${listen.tcpPort}`,
    `/ip6/::/tcp/${listen.tcpPort}`,
    `/ip4/0.0.0.0/tcp/${listen.wsPort}/ws`,
  ];
}

function initialState(networkFile: NetworkFile, device: Device, ledger: ProviderLedger, now: number) {
  const earned = ledger.money.earnings();
  return {
    startedAt: now,
    phase: 'starting',
    reason: undefined,
    identity: { peerId: undefined, address: undefined, agentId: undefined },
    network: { networkId: networkFile.networkId, peers: 0, reachable: 'unknown', reason: '', remedy: undefined },
    device: { backend: device.placement.backend, name: device.name },
    token: networkFile.chain.token,
    work: undefined,
    shards: { computed: 0, accepted: earned.accepted, refused: earned.refused, failed: 0 },
    money: {
      earnedWei: earned.earnedWei.toString(),
      settledWei: earned.settledWei.toString(),
      lastTransaction: earned.settlements[0]?.transactionHash,
    },
    reputation: { score: undefined, count: 0 },
    lastError: undefined,
  } as const;
}

/** Keeps the network's part of the state; returns how to stop. */
function followNetwork(peer: Peer, hub: StateHub, local: boolean): () => void {
  const { network } = peer;
  const update = (): void => {
    const { state, reason, remedy } = local
      ? ({ state: 'private', reason: 'all of it is on this machine', remedy: undefined } as const)
      : network.reachability();
    hub.patch({ network: { ...hub.state.network, peers: network.peers().length, reachable: state, reason, remedy } });
  };
  update();
  const stops = [network.on('peers', update), network.on('reachability', update)];
  return () => {
    for (const stop of stops) stop();
  };
}
