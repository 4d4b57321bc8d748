// A node with content in a process of its own, so that it can be killed. Told what to do over the channel to its parent.
import { createContent } from '#core/content/create-content.ts';
import type { ManifestCid } from '#core/content/port.ts';
import { createNetwork } from '#core/network/create-network.ts';
import { generatePeerKey } from '#core/network/peer-key.ts';
import type { Result } from '#shared/result.ts';
import { peerIdText } from '#shared/units.ts';

export interface Config {
  readonly directory: string;
  readonly bootstrap: readonly string[];
}

export type Order =
  | { readonly id: number; readonly do: 'add-file'; readonly file: string }
  | { readonly id: number; readonly do: 'fetch'; readonly cid: string; readonly from: readonly string[] }
  | { readonly id: number; readonly do: 'has'; readonly cid: string };

export type Word =
  | { readonly say: 'ready'; readonly peerId: string; readonly addresses: readonly string[] }
  | { readonly say: 'progress'; readonly doneBytes: number }
  | { readonly say: 'done'; readonly id: number; readonly value: string | boolean };

const { directory, bootstrap } = JSON.parse(process.argv[2] ?? '') as Config;
const say = (word: Word): void => void process.send?.(word);

function orThrow<T>(result: Result<T, { readonly code: string; readonly message: string }>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

const network = orThrow(
  await createNetwork({
    networkId: 'test-net',
    key: await generatePeerKey(),
    bootstrap,
    stun: [],
    listen: ['/ip4/127.0.0.1/tcp/0'],
    privateAddresses: true,
    upnp: false,
    webrtc: false,
  }),
);
const content = orThrow(await createContent({ network, directory, budgetBytes: 2 ** 30 }));

async function obey(order: Order): Promise<string | boolean> {
  if (order.do === 'add-file') return orThrow(await content.addFile(order.file));
  const cid = order.cid as ManifestCid;
  if (order.do === 'has') return content.has(cid);
  const fetched = await content.fetch(cid, {
    from: order.from.map(peerIdText),
    maxBytes: 2 ** 30,
    onProgress: ({ doneBytes }) => say({ say: 'progress', doneBytes }),
  });
  return fetched.ok ? 'ok' : fetched.error.code;
}

process.on('message', (order: Order) => {
  void obey(order).then((value) => say({ say: 'done', id: order.id, value }));
});
process.on('disconnect', () => process.exit());
say({ say: 'ready', peerId: network.peerId, addresses: network.addresses() });
