import { describe, expect, it } from 'vitest';
import { MiB } from '#shared/units.ts';
import { MemoryNet } from '#support/memory-network.ts';
import { contentNode, noise, value } from './parts/rig.ts';

describe('fetching', () => {
  it('brings the same bytes from one peer to another', async () => {
    const net = new MemoryNet();
    const [a, b] = [await contentNode(net, 'a'), await contentNode(net, 'b')];
    const bytes = noise(5 * MiB + 17);
    const cid = value(await a.content.add(bytes));
    const progress: number[] = [];
    value(
      await b.content.fetch(cid, {
        from: [a.peer.peerId],
        maxBytes: 6 * MiB,
        onProgress: ({ doneBytes }) => progress.push(doneBytes),
      }),
    );
    expect(Buffer.compare(value(await b.content.read(cid)), bytes)).toBe(0);
    expect(progress.at(0)).toBe(0);
    expect(progress.at(-1)).toBe(bytes.byteLength);
    expect(b.peer.reported).toEqual([]);
  });
});
