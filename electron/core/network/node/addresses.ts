import type { Connection, PeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { Node } from './libp2p-node.ts';
import { parseAddress } from './options.ts';
import { viaOf } from './paths.ts';

const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop';

/**
 * Where a peer may be dialled: what the caller was told and what identify told earlier, then through each relay
 * this node is connected to, because homes of one network mostly share a relay. The DHT is asked last: for a home
 * it takes seconds, and it knows nothing of most homes.
 */
export async function addressesOf(
  node: Node,
  peer: PeerId,
  told: readonly string[],
  signal: AbortSignal,
): Promise<readonly Multiaddr[]> {
  const known = told.map(parseAddress).filter((address) => address !== undefined);
  const near = [...known, ...(await storedAddresses(node, peer)), ...(await relayAddresses(node, peer))];
  const all = near.length > 0 ? near : await routedAddresses(node, peer, signal);
  return unique(all, peer).slice(0, LIMITS.network.addressesPerDial);
}

/** The peer's own addresses as identify told them, without those through a relay alone. */
export async function directAddressesOf(node: Node, peer: PeerId): Promise<readonly Multiaddr[]> {
  const stored = unique(await storedAddresses(node, peer), peer);
  return stored.filter((address) => {
    const names = new Set(address.getComponents().map((component) => component.name));
    return !names.has('p2p-circuit') || names.has('webrtc');
  });
}

async function storedAddresses(node: Node, peer: PeerId): Promise<Multiaddr[]> {
  try {
    return (await node.peerStore.get(peer)).addresses.map((address) => address.multiaddr);
  } catch {
    // Not known: the usual case for a peer met through gossip.
    return [];
  }
}

async function routedAddresses(node: Node, peer: PeerId, signal: AbortSignal): Promise<Multiaddr[]> {
  try {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(LIMITS.network.lookupMs)]);
    return (await node.peerRouting.findPeer(peer, { signal: bounded })).multiaddrs;
  } catch {
    return [];
  }
}

async function relayAddresses(node: Node, peer: PeerId): Promise<Multiaddr[]> {
  const relays: Connection[] = [];
  for (const connection of node.getConnections()) {
    if (viaOf(connection) !== 'direct' || connection.remotePeer.equals(peer)) continue;
    const relay = await node.peerStore.get(connection.remotePeer).catch(() => undefined);
    if (relay?.protocols.includes(HOP_PROTOCOL) === true) relays.push(connection);
  }
  return relays.flatMap((connection) => {
    const relay = withPeer(connection.remoteAddr, connection.remotePeer);
    return [
      relay.encapsulate(`/p2p-circuit/webrtc/p2p/${peer.toString()}`),
      relay.encapsulate(`/p2p-circuit/p2p/${peer.toString()}`),
    ];
  });
}

function withPeer(address: Multiaddr, peer: PeerId): Multiaddr {
  const last = address.getComponents().at(-1);
  return last?.name === 'p2p' ? address : address.encapsulate(`/p2p/${peer.toString()}`);
}

function unique(addresses: readonly Multiaddr[], peer: PeerId): Multiaddr[] {
  const byText = new Map(addresses.map((address) => withPeer(address, peer)).map((a) => [a.toString(), a]));
  return [...byText.values()];
}
