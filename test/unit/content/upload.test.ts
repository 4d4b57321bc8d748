import { describe, expect, it } from 'vitest';
import { LIMITS } from '#shared/protocol/limits.ts';
import { CONTENT_PROTOCOL, decodeResponse, encodeRequest } from '#shared/protocol/content/messages.ts';
import type { ContentRequest } from '#shared/protocol/content/messages.ts';
import { MiB } from '#shared/units.ts';
import type { Conversation } from '#core/network/port.ts';
import { MemoryNet } from '#support/memory-network.ts';
import type { MemoryPeer } from '#support/memory-network.ts';
import { writeFileAt } from './parts/damage.ts';
import { contentNode, noise, value } from './parts/rig.ts';
import { made } from './parts/scripted-provider.ts';

const maxBytes = 64 * MiB;
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe('an upload', () => {
  async function ask(peer: MemoryPeer, conversation: Conversation, request: ContentRequest) {
    value(await conversation.send({ kind: 'control', body: encodeRequest(request) }));
    const frame = value(await conversation.receive({ timeoutMs: 5000 }));
    if (frame?.kind !== 'control') throw new Error(`expected an answer for ${peer.peerId}`);
    return value(decodeResponse(frame.body));
  }

  it('tells a peer with too many conversations that it is busy, and serves the others', async () => {
    const net = new MemoryNet();
    const a = await contentNode(net, 'a');
    const cid = value(await a.content.add(noise(100)));
    const [greedy, modest] = [net.peer('greedy'), net.peer('modest')];
    const request: ContentRequest = { kind: 'describe', id: 5, cid, manifest: false };
    const open = async (peer: MemoryPeer): Promise<Conversation> =>
      value(await peer.open(a.peer.peerId, CONTENT_PROTOCOL));
    for (let index = 0; index < LIMITS.content.uploadStreamsPerPeer; index += 1) {
      expect(await ask(greedy, await open(greedy), request)).toMatchObject({ kind: 'description', id: 5 });
    }
    const oneTooMany = await open(greedy);
    expect(await ask(greedy, oneTooMany, request)).toMatchObject({ kind: 'fault', id: 5, code: 'content.busy' });
    expect(value(await oneTooMany.receive({ timeoutMs: 5000 }))).toBeUndefined();
    expect(await ask(modest, await open(modest), request)).toMatchObject({ kind: 'description' });
  });

  it('answers what it cannot give with a coded fault and stays open', async () => {
    const net = new MemoryNet();
    const a = await contentNode(net, 'a');
    const cid = value(await a.content.add(noise(100)));
    const absent = (await made(noise(10, 9))).cid;
    const b = net.peer('b');
    const conversation = value(await b.open(a.peer.peerId, CONTENT_PROTOCOL));
    const leaves = { kind: 'leaves', first: 0, count: 1 } as const;
    expect(await ask(b, conversation, { ...leaves, id: 1, cid: absent })).toMatchObject({ code: 'content.not_found' });
    expect(await ask(b, conversation, { ...leaves, id: 2, cid, first: 1 })).toMatchObject({
      id: 2,
      code: 'content.request_invalid',
    });
    expect(await ask(b, conversation, { ...leaves, id: 3, cid })).toEqual({ kind: 'leaf', id: 3, index: 0 });
  });

  it.each([
    ['garbage', { kind: 'control', body: Uint8Array.of(0xff) }],
    ['data', { kind: 'data', body: Uint8Array.of(1, 2, 3) }],
  ] as const)('reports a peer that sends %s and ends the conversation', async (_what, frame) => {
    const net = new MemoryNet();
    const a = await contentNode(net, 'a');
    const b = net.peer('b');
    const conversation = value(await b.open(a.peer.peerId, CONTENT_PROTOCOL));
    await conversation.send(frame);
    expect(await conversation.receive({ timeoutMs: 5000 })).toMatchObject({
      ok: false,
      error: { code: 'network.stream_closed' },
    });
    expect(a.peer.reported).toEqual([{ peer: b.peerId, misdeed: 'invalid_message' }]);
  });

  it('never sends what the disk has damaged; the damaged part alone is fetched again', async () => {
    const net = new MemoryNet();
    const [a, first, c] = [await contentNode(net, 'a'), await contentNode(net, 'b'), await contentNode(net, 'c')];
    const bytes = noise(4 * MiB);
    const cid = value(await a.content.add(bytes));
    value(await first.content.fetch(cid, { from: [a.peer.peerId], maxBytes }));
    await first.content.stop();
    await writeFileAt(`${first.directory}/${cid}/data`, 2 * MiB + 5, Uint8Array.of(1, 2, 3, 4));
    const b = await contentNode(net, 'b', { directory: first.directory });
    value(await c.content.fetch(cid, { from: [b.peer.peerId], maxBytes }));
    expect(c.peer.reported).toEqual([]);
    expect(c.peer.opened).toContain(a.peer.peerId);
    expect(await b.content.has(cid)).toBe(false);
    expect(await b.content.read(cid)).toMatchObject({ error: { code: 'content.not_found' } });
    const progress: number[] = [];
    const onProgress = ({ doneBytes }: { readonly doneBytes: number }): number => progress.push(doneBytes);
    value(await b.content.fetch(cid, { from: [a.peer.peerId], maxBytes, onProgress }));
    expect(progress).toEqual([3 * MiB, 4 * MiB]);
    expect(same(value(await b.content.read(cid)), bytes)).toBe(true);
  });
});
