import { isPrivate } from '@libp2p/utils';
import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';
import { appError } from '#shared/errors.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { NetworkError } from '../port.ts';

export interface BootstrapPeer {
  readonly peerId: PeerIdText;
  readonly addresses: readonly Multiaddr[];
}

/** Parses multiaddrs that end in /p2p/<peer id>, several of one peer together. */
export function parseBootstrap(addresses: readonly string[]): Result<readonly BootstrapPeer[], NetworkError> {
  const peers = new Map<PeerIdText, Multiaddr[]>();
  for (const text of addresses) {
    const address = parseAddress(text);
    const peerId = address?.getComponents().findLast((component) => component.name === 'p2p')?.value;
    if (address === undefined || peerId === undefined) {
      return err(
        appError('network.unreachable', `"${text}" is not an address of a bootstrap peer.`, {
          remedy: 'Correct the network file: an address looks like /ip4/203.0.113.7/tcp/4001/p2p/<peer id>.',
        }),
      );
    }
    peers.set(peerIdText(peerId), [...(peers.get(peerIdText(peerId)) ?? []), address]);
  }
  return ok([...peers].map(([peerId, known]) => ({ peerId, addresses: known })));
}

export function parseAddress(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text);
  } catch {
    return undefined;
  }
}

/** True for loopback and for addresses that only mean something inside somebody's own network. */
export function isPrivateAddress(address: Multiaddr): boolean {
  try {
    return isPrivate(address);
  } catch {
    // It has no network part to judge, e.g. a bare /p2p-circuit or a name.
    return false;
  }
}
