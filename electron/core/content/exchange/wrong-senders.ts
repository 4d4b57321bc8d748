import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { PeerIdText } from '#shared/units.ts';

/** Who sent wrong bytes for which content, as long as this process lives; the oldest are forgotten first. */
export class WrongSenders {
  readonly #known = new Set<string>();

  add(cid: ManifestCid, peer: PeerIdText): void {
    this.#known.add(`${cid} ${peer}`);
    if (this.#known.size <= LIMITS.content.wrongSenders) return;
    for (const oldest of this.#known) {
      this.#known.delete(oldest);
      break;
    }
  }

  has(cid: ManifestCid, peer: PeerIdText): boolean {
    return this.#known.has(`${cid} ${peer}`);
  }
}
