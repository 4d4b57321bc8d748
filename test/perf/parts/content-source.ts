// The sending side of the content benchmark, in a process of its own: a bare libp2p node that pours, and a Hearth node
// that has the content.
import { createContent } from '#core/content/create-content.ts';
import { createNetwork } from '#core/network/create-network.ts';
import { generatePeerKey } from '#core/network/peer-key.ts';
import type { Result } from '#shared/result.ts';
import { BARE_PROTOCOL, bareNode, pour } from './bare-node.ts';

export interface SourceConfig {
  readonly directory: string;
  readonly totalBytes: number;
}

export interface Source {
  readonly bareAddress: string;
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly cid: string;
}

function orThrow<T>(result: Result<T, { readonly message: string }>): T {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

const { directory, totalBytes } = JSON.parse(process.argv[2] ?? '') as SourceConfig;

const bare = await bareNode();
await bare.handle(BARE_PROTOCOL, (stream) => {
  void pour(stream, totalBytes).then(() => stream.close().catch(() => undefined));
});

const network = orThrow(
  await createNetwork({
    networkId: 'bench',
    key: await generatePeerKey(),
    bootstrap: [],
    stun: [],
    listen: ['/ip4/127.0.0.1/tcp/0'],
    privateAddresses: true,
    upnp: false,
    webrtc: false,
  }),
);
const content = orThrow(await createContent({ network, directory, budgetBytes: totalBytes * 2 }));
const bytes = new Uint8Array(totalBytes);
for (let at = 0; at < totalBytes; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
const cid = orThrow(await content.add(bytes, { announce: false }));

process.on('disconnect', () => process.exit());
process.send?.({
  bareAddress: bare.getMultiaddrs()[0]?.toString() ?? '',
  peerId: network.peerId,
  addresses: network.addresses(),
  cid,
} satisfies Source);
