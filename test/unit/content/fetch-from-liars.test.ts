import { describe, expect, it } from 'vitest';
import { MiB } from '#shared/units.ts';
import { cidOf } from '#core/content/hash.ts';
import { MemoryNet } from '#support/memory-network.ts';
import { contentNode, noise, value } from './parts/rig.ts';
import { made, scriptedProvider } from './parts/scripted-provider.ts';

const maxBytes = 64 * MiB;
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, index) => (index === 0 ? byte ^ 1 : byte));

describe('a fetch among liars', () => {
  it('refuses wrong bytes, reports their sender and never asks it for that content again', async () => {
    const net = new MemoryNet();
    const content = await made(noise(8 * MiB));
    const [liar, honest] = [net.peer('liar'), net.peer('honest')];
    await scriptedProvider(liar, content, {
      leaf: (index) => (index === 2 ? flipped(content.bytes.slice(2 * MiB, 3 * MiB)) : undefined),
    });
    await scriptedProvider(honest, content);
    const node = await contentNode(net, 'c');
    expect(await node.content.fetch(content.cid, { from: [liar.peerId], maxBytes })).toMatchObject({
      error: { code: 'content.no_provider' },
    });
    expect(node.peer.reported).toEqual([{ peer: liar.peerId, misdeed: 'wrong_bytes' }]);
    const opened = node.peer.opened.length;
    value(await node.content.fetch(content.cid, { from: [liar.peerId, honest.peerId], maxBytes }));
    expect(node.peer.opened.slice(opened)).toEqual([honest.peerId]);
    expect(same(value(await node.content.read(content.cid)), content.bytes)).toBe(true);
  });

  it('refuses a manifest that is not the one named', async () => {
    const net = new MemoryNet();
    const [content, other] = [await made(noise(2 * MiB)), await made(noise(2 * MiB, 2))];
    const liar = net.peer('liar');
    await scriptedProvider(liar, content, { manifest: other.manifestBytes });
    const node = await contentNode(net, 'c');
    expect(await node.content.fetch(content.cid, { from: [liar.peerId], maxBytes })).toMatchObject({
      error: { code: 'content.no_provider' },
    });
    expect(node.peer.reported).toEqual([{ peer: liar.peerId, misdeed: 'wrong_bytes' }]);
    expect(node.content.list()).toEqual([]);
  });

  it('that names a manifest against the rules ends at once, and the messenger is not blamed', async () => {
    const net = new MemoryNet();
    const content = await made(noise(100));
    const hostile = Uint8Array.from([...content.manifestBytes, 0]);
    const messenger = net.peer('a');
    await scriptedProvider(messenger, content, { manifest: hostile });
    const node = await contentNode(net, 'c');
    expect(await node.content.fetch(cidOf(hostile), { from: [messenger.peerId], maxBytes })).toMatchObject({
      error: { code: 'content.manifest_invalid' },
    });
    expect(node.peer.reported).toEqual([]);
    expect(node.content.list()).toEqual([]);
  });

  it.each([
    ['garbage', Uint8Array.of(0xff, 0xff, 0xff)],
    ['an answer to a question not asked', Uint8Array.of(0x08, 0x63, 0x12, 0x00)],
    ['a leaf out of turn', Uint8Array.of(0x08, 0x01, 0x1a, 0x00)],
  ])('reports a provider that answers with %s', async (_what, body) => {
    const net = new MemoryNet();
    const content = await made(noise(100));
    const babbler = net.peer('a');
    await scriptedProvider(babbler, content, {
      describe: async (conversation) => {
        await conversation.send({ kind: 'control', body });
        return true;
      },
    });
    const node = await contentNode(net, 'c');
    expect(await node.content.fetch(content.cid, { from: [babbler.peerId], maxBytes })).toMatchObject({
      error: { code: 'content.no_provider' },
    });
    expect(node.peer.reported).toEqual([{ peer: babbler.peerId, misdeed: 'invalid_message' }]);
    expect(node.peer.opened).toEqual([babbler.peerId]);
  });

  it('is not drawn into content larger than the caller or the budget allows', async () => {
    const net = new MemoryNet();
    const a = await contentNode(net, 'a');
    const cid = value(await a.content.add(noise(3 * MiB)));
    const b = await contentNode(net, 'b', { budgetBytes: 2 * MiB });
    const from = [a.peer.peerId];
    expect(await b.content.fetch(cid, { from, maxBytes: 3 * MiB - 1 })).toMatchObject({
      error: { code: 'content.too_large', data: { totalBytes: 3 * MiB } },
    });
    expect(await b.content.fetch(cid, { from, maxBytes })).toMatchObject({ error: { code: 'content.over_budget' } });
    expect(b.content.list()).toEqual([]);
  });
});
