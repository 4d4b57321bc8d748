import type { AppError } from '#shared/errors.ts';
import type { Clock } from './market/clock.ts';
import type { AgentIdentity } from './chain/port.ts';
import type { Peer } from './peer.ts';

export interface IdentifyOptions {
  readonly peer: Pick<Peer, 'chain' | 'key' | 'logger'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called before a try where the chain says that there is no coin for the fee; a practice network gives some. */
  readonly findGas?: (() => Promise<void>) | undefined;
  readonly onTrouble: (error: AppError) => void;
}

const RETRY_MS = { first: 1_000, most: 60_000 };

/**
 * This node's identity on chain, registered on first use. A chain that is away or an empty purse is not the end: it is
 * said, and tried again, later each time. Undefined only when the signal ends the wait.
 */
export async function identifyAgent(options: IdentifyOptions): Promise<AgentIdentity | undefined> {
  const { peer, clock, signal } = options;
  for (let wait = RETRY_MS.first; !signal.aborted; wait = Math.min(RETRY_MS.most, wait * 2)) {
    const registered = await peer.chain.identities.register({
      peerId: peer.key.peerId,
      sign: (digest) => peer.key.signDigest(digest),
      peerPublicKey: peer.key.publicKey,
      uri: '',
    });
    if (registered.ok) return registered.value;
    peer.logger.warn({ error: registered.error }, 'identity not registered yet');
    options.onTrouble(registered.error);
    if (registered.error.code === 'chain.insufficient_gas') await options.findGas?.();
    await clock.sleep(wait, signal);
  }
  return undefined;
}
