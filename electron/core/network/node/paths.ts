import type { Connection } from '@libp2p/interface';
import type { PeerView } from '../port.ts';

/** What a connection runs over, as the owner is told. */
export function viaOf(connection: Connection): PeerView['via'] {
  const address = connection.remoteAddr.toString();
  if (address.includes('/webrtc')) return 'webrtc';
  return connection.limits !== undefined || address.includes('/p2p-circuit') ? 'relayed' : 'direct';
}

const ORDER: Readonly<Record<PeerView['via'], number>> = { direct: 0, webrtc: 1, relayed: 2 };

/** Open connections, best first: direct, then WebRTC, then relayed; newer first among equals. */
export function ranked(connections: readonly Connection[]): Connection[] {
  return connections
    .filter((connection) => connection.status === 'open')
    .sort((a, b) => ORDER[viaOf(a)] - ORDER[viaOf(b)] || b.timeline.open - a.timeline.open);
}
