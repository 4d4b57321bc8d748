import type { ConnectionGater } from '@libp2p/interface';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';
import { isPrivateAddress } from './options.ts';

export interface GaterOptions {
  readonly isBanned: (peer: PeerIdText) => boolean;
  /** False on a public network, so that a stranger's addresses cannot send this node knocking inside its own home. */
  readonly dialPrivate: boolean;
}

export function createGater({ isBanned, dialPrivate }: GaterOptions): ConnectionGater {
  return {
    denyDialPeer: (peer) => isBanned(peerIdText(peer.toString())),
    denyDialMultiaddr: (address) => !dialPrivate && isPrivateAddress(address),
    denyInboundEncryptedConnection: (peer) => isBanned(peerIdText(peer.toString())),
    denyInboundRelayedConnection: (_relay, peer) => isBanned(peerIdText(peer.toString())),
    denyInboundRelayReservation: (peer) => isBanned(peerIdText(peer.toString())),
  };
}
