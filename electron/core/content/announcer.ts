import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import type { Network } from '../network/port.ts';
import type { Logger } from '../obs/logger.ts';

/** Says in the DHT what this node has: once for each content, one after the other, never in anybody's way. */
export class Announcer {
  readonly #network: Network;
  readonly #logger: Logger | undefined;
  readonly #announced = new Set<ManifestCid>();
  #last: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(network: Network, logger: Logger | undefined) {
    this.#network = network;
    this.#logger = logger;
  }

  announce(cid: ManifestCid): void {
    if (this.#announced.has(cid)) return;
    this.#announced.add(cid);
    this.#last = this.#last.then(() => this.#provide(cid));
  }

  /** It is here no longer; the DHT forgets by itself. */
  forget(cid: ManifestCid): void {
    this.#announced.delete(cid);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #provide(cid: ManifestCid): Promise<void> {
    if (this.#stopped || !this.#announced.has(cid)) return;
    try {
      await this.#network.provide(cid);
    } catch (cause) {
      // Peers that were named this node still come; the DHT is one way of several.
      this.#announced.delete(cid);
      this.#logger?.debug({ cid, cause: String(cause) }, 'content could not be announced');
    }
  }
}
