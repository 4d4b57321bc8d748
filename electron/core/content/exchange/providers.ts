import { LIMITS } from '#shared/protocol/limits.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Logger } from '../../obs/logger.ts';
import type { Network } from '../../network/port.ts';
import type { Clock } from '../clock.ts';
import { ProviderSession } from './provider-session.ts';
import type { Work } from './provider-session.ts';
import type { WrongSenders } from './wrong-senders.ts';

export interface ProvidersOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly logger: Logger | undefined;
  readonly wrongSenders: WrongSenders;
  readonly work: Work;
  /** Nobody is left to ask. */
  readonly onExhausted: () => void;
  /** A bug, not an outcome. */
  readonly onFault: (fault: unknown) => void;
}

/**
 * The providers of one download: those named first, then, when none of them is left or none was named, those that
 * the DHT knows. A provider that fails is tried again a few times, further and further apart.
 */
export class Providers {
  readonly #options: ProvidersOptions;
  readonly #waiting: PeerIdText[] = [];
  readonly #tried = new Set<PeerIdText>();
  readonly #running = new Set<Promise<void>>();
  #search: 'not begun' | 'running' | 'ended' = 'not begun';

  constructor(options: ProvidersOptions) {
    this.#options = options;
  }

  /** Peers asked, reached or not. */
  get asked(): number {
    return this.#tried.size - this.#waiting.length;
  }

  add(peers: Iterable<PeerIdText>): void {
    const { network, wrongSenders, work } = this.#options;
    for (const peer of peers) {
      if (this.#tried.size >= LIMITS.content.providersTried) break;
      if (peer === network.peerId || this.#tried.has(peer)) continue;
      if (network.isBanned(peer) || wrongSenders.has(work.cid, peer)) continue;
      this.#tried.add(peer);
      this.#waiting.push(peer);
    }
    this.#next();
  }

  /** Resolves when every conversation and the search have ended; they end soon after the work's signal aborts. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #next(): void {
    const { work } = this.#options;
    if (work.signal.aborted) return;
    let sessions = this.#running.size - (this.#search === 'running' ? 1 : 0);
    while (sessions < LIMITS.content.providersPerFetch) {
      const peer = this.#waiting.shift();
      if (peer === undefined) break;
      this.#run(this.#serve(peer));
      sessions += 1;
    }
    if (sessions > 0) return;
    if (this.#search === 'ended') this.#options.onExhausted();
    else this.#seek();
  }

  /** Looks for others, once. */
  #seek(): void {
    if (this.#search !== 'not begun') return;
    this.#search = 'running';
    this.#run(this.#find());
  }

  #run(task: Promise<void>): void {
    const running = task.catch(this.#options.onFault).then(() => {
      this.#running.delete(running);
      this.#next();
    });
    this.#running.add(running);
  }

  async #serve(peer: PeerIdText): Promise<void> {
    const { network, clock, logger, work, wrongSenders } = this.#options;
    let failures = 0;
    while (!work.signal.aborted && failures < LIMITS.content.attemptsPerProvider) {
      if (failures > 0) await clock.sleep(retryMs(failures), work.signal);
      // Its last leaf may have been checked while we waited.
      if (wrongSenders.has(work.cid, peer)) return;
      const session = new ProviderSession({
        work,
        network,
        peer,
        clock,
        onFruitless: () => this.#seek(),
        onWrong: () => wrongSenders.add(work.cid, peer),
      });
      const end = await session.run();
      logger?.debug({ cid: work.cid, peer, end, leaves: session.leaves }, 'provider session ended');
      if (end === 'banned') wrongSenders.add(work.cid, peer);
      if (end === 'done' || end === 'banned' || end === 'absent') return;
      failures = session.leaves > 0 ? 1 : failures + 1;
    }
  }

  async #find(): Promise<void> {
    const { network, clock, logger, work } = this.#options;
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, work.signal]);
    void clock.sleep(LIMITS.content.findMs, signal).then(() => ended.abort());
    try {
      for await (const peer of network.findProviders(work.cid, signal)) {
        this.add([peer]);
        if (this.#tried.size >= LIMITS.content.providersTried) break;
      }
    } catch (cause) {
      // A search that is cut short or fails has found whom it has found.
      logger?.debug({ cid: work.cid, cause: String(cause) }, 'search for providers ended early');
    } finally {
      ended.abort();
      this.#search = 'ended';
    }
  }
}

/** Doubles with each failure, with up to half as much again by chance so that many do not return at once. */
function retryMs(failures: number): number {
  return LIMITS.content.retryMs * 2 ** (failures - 1) * (1 + Math.random() / 2);
}
