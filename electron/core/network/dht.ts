import { CID } from 'multiformats/cid';
import type { Logger } from '#core/obs/logger.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Node } from './node/libp2p-node.ts';

/** Says in the DHT that this node has the content. Whoever fails to hear it finds the node by other ways. */
export async function provide(node: Node, cid: string, log: Logger): Promise<void> {
  try {
    await node.contentRouting.provide(CID.parse(cid), { signal: AbortSignal.timeout(LIMITS.network.provideMs) });
  } catch (cause) {
    log.debug({ cid, cause: String(cause) }, 'the DHT did not take a provider record');
  }
}

/** Distinct peers that say they have the content, at most LIMITS.network.providers; their word is not yet a proof. */
export async function* findProviders(node: Node, cid: string, signal: AbortSignal): AsyncIterable<PeerIdText> {
  const seen = new Set<string>();
  try {
    for await (const provider of node.contentRouting.findProviders(CID.parse(cid), { signal })) {
      const id = provider.id.toString();
      if (provider.id.equals(node.peerId) || seen.has(id)) continue;
      seen.add(id);
      yield peerIdText(id);
      if (seen.size === LIMITS.network.providers) return;
    }
  } catch {
    // The signal, or a DHT without anybody to ask: what was found is the answer.
  }
}
