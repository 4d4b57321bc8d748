import { describe, expect, it } from 'vitest';
import { LIMITS } from '#shared/protocol/limits.ts';
import { Bitmap } from '#shared/protocol/content/bitmap.ts';
import { MiB } from '#shared/units.ts';
import { MemoryNet } from '#support/memory-network.ts';
import { nodeFiles } from '#core/content/disk/files.ts';
import type { Files } from '#core/content/disk/files.ts';
import { FaultyFiles } from './parts/faulty-files.ts';
import { contentNode, noise, value } from './parts/rig.ts';
import { allLeaves, made, scriptedProvider } from './parts/scripted-provider.ts';
import { TestClock } from './parts/test-clock.ts';

const maxBytes = 64 * MiB;
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe('a fetch', () => {
  it('brings the same bytes from one peer to another and reports progress from nothing to all', async () => {
    const net = new MemoryNet();
    const [a, b] = [await contentNode(net, 'a'), await contentNode(net, 'b')];
    const bytes = noise(5 * MiB + 17);
    const cid = value(await a.content.add(bytes));
    const progress: number[] = [];
    value(
      await b.content.fetch(cid, {
        from: [a.peer.peerId],
        maxBytes,
        onProgress: ({ doneBytes }) => progress.push(doneBytes),
      }),
    );
    expect(same(value(await b.content.read(cid)), bytes)).toBe(true);
    expect(progress.at(0)).toBe(0);
    expect(progress.at(-1)).toBe(bytes.byteLength);
    expect(progress.length).toBe(7);
    expect(b.peer.reported).toEqual([]);
  });

  it('brings empty content', async () => {
    const net = new MemoryNet();
    const [a, b] = [await contentNode(net, 'a'), await contentNode(net, 'b')];
    const cid = value(await a.content.add(new Uint8Array()));
    value(await b.content.fetch(cid, { from: [a.peer.peerId], maxBytes: 0 }));
    expect(value(await b.content.read(cid)).byteLength).toBe(0);
  });

  it('shares the work among providers, each leaf asked for once', async () => {
    const net = new MemoryNet();
    const content = await made(noise(12 * MiB));
    // Neither goes on before the other was asked too.
    const bothAsked = Promise.withResolvers<void>();
    const sides = { a: false, b: false };
    const wait = (side: 'a' | 'b') => (): Promise<void> => {
      sides[side] = true;
      if (sides.a && sides.b) bothAsked.resolve();
      return bothAsked.promise;
    };
    const [a, b] = [net.peer('a'), net.peer('b')];
    const fromA = await scriptedProvider(a, content, { leaf: wait('a') });
    const fromB = await scriptedProvider(b, content, { leaf: wait('b') });
    const node = await contentNode(net, 'c');
    value(await node.content.fetch(content.cid, { from: [a.peerId, b.peerId], maxBytes }));
    expect([...fromA, ...fromB].sort((x, y) => x - y)).toEqual(allLeaves(content));
    expect(Math.min(fromA.length, fromB.length)).toBeGreaterThan(0);
    expect(same(value(await node.content.read(content.cid)), content.bytes)).toBe(true);
  });

  it('hands the work of a provider that dies midway to the others', async () => {
    const net = new MemoryNet();
    const content = await made(noise(10 * MiB));
    const dying = net.peer('dying');
    const died = Promise.withResolvers<void>();
    await scriptedProvider(dying, content, {
      leaf: (_index, count) => {
        if (count < 4) return undefined;
        dying.die();
        died.resolve();
        return 'die';
      },
    });
    const steady = net.peer('steady');
    await scriptedProvider(steady, content, { leaf: () => died.promise });
    const node = await contentNode(net, 'c');
    value(await node.content.fetch(content.cid, { from: [dying.peerId, steady.peerId], maxBytes }));
    expect(same(value(await node.content.read(content.cid)), content.bytes)).toBe(true);
    // Dying is a misfortune, not a misdeed.
    expect(node.peer.reported).toEqual([]);
  });

  it('tries a lone provider again after a pause and goes on where it was', async () => {
    const net = new MemoryNet();
    const content = await made(noise(8 * MiB));
    const clock = new TestClock();
    const provider = net.peer('a');
    const three = Promise.withResolvers<void>();
    const asked = await scriptedProvider(provider, content, {
      leaf: (_index, count) => (count === 4 ? three.promise.then(() => 'die') : undefined),
    });
    const node = await contentNode(net, 'c', { clock });
    const paused = clock.nextSleep();
    const fetching = node.content.fetch(content.cid, {
      from: [provider.peerId],
      maxBytes,
      onProgress: ({ doneBytes }) => {
        if (doneBytes === 3 * MiB) three.resolve();
      },
    });
    await paused;
    const before = asked.length;
    clock.advance(LIMITS.content.retryMs * 2);
    value(await fetching);
    expect(node.peer.opened).toEqual([provider.peerId, provider.peerId]);
    expect(asked.slice(before)).toEqual([3, 4, 5, 6, 7]);
  });

  it('asks the DHT when nobody is named, and when those named have nothing', async () => {
    const net = new MemoryNet();
    const [a, empty] = [await contentNode(net, 'a'), await contentNode(net, 'empty')];
    const cid = value(await a.content.add(noise(2 * MiB)));
    expect(net.providers.get(cid)).toEqual([a.peer.peerId]);
    const [b, c] = [await contentNode(net, 'b'), await contentNode(net, 'c')];
    value(await b.content.fetch(cid, { from: [], maxBytes }));
    value(await c.content.fetch(cid, { from: [empty.peer.peerId], maxBytes }));
    expect(c.peer.opened[0]).toBe(empty.peer.peerId);
    expect(net.providers.get(cid)).toContain(c.peer.peerId);
  });

  it('that finds nobody says so, with what it has', async () => {
    const net = new MemoryNet();
    const content = await made(noise(4 * MiB));
    const partial = net.peer('partial');
    const have = new Bitmap(4);
    have.set(2);
    // It has one leaf and never more.
    await scriptedProvider(partial, content, { have: have.bytes });
    const clock = new TestClock();
    const node = await contentNode(net, 'c', { clock });
    const fetching = node.content.fetch(content.cid, { from: [partial.peerId], maxBytes });
    const state = { over: false };
    void fetching.finally(() => (state.over = true));
    while (!state.over) {
      clock.advance(LIMITS.content.refreshMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await fetching).toMatchObject({
      ok: false,
      error: { code: 'content.no_provider', data: { asked: 1, doneBytes: MiB } },
    });
    const nobody = await made(noise(10, 7));
    expect(await node.content.fetch(nobody.cid, { from: [], maxBytes })).toMatchObject({
      ok: false,
      error: { code: 'content.no_provider', data: { asked: 0, doneBytes: 0 } },
    });
  });

  it('takes from an incomplete provider what that has', async () => {
    const net = new MemoryNet();
    const content = await made(noise(4 * MiB));
    const [first, second] = [new Bitmap(4), new Bitmap(4)];
    first.set(0);
    first.set(3);
    second.set(1);
    second.set(2);
    const [a, b] = [net.peer('a'), net.peer('b')];
    const fromA = await scriptedProvider(a, content, { have: first.bytes });
    const fromB = await scriptedProvider(b, content, { have: second.bytes });
    const node = await contentNode(net, 'c');
    value(await node.content.fetch(content.cid, { from: [a.peerId, b.peerId], maxBytes }));
    expect({ fromA, fromB }).toEqual({ fromA: [0, 3], fromB: [1, 2] });
  });

  it('asks somebody else for a leaf that a provider owes for long', async () => {
    const net = new MemoryNet();
    const content = await made(noise(3 * MiB));
    const clock = new TestClock();
    const [slow, quick] = [net.peer('slow'), net.peer('quick')];
    const never = new Promise<void>(() => undefined);
    const slowAsked = Promise.withResolvers<void>();
    await scriptedProvider(slow, content, {
      leaf: () => {
        slowAsked.resolve();
        return never;
      },
    });
    const fromQuick = await scriptedProvider(quick, content, {
      describe: async () => {
        await slowAsked.promise;
        return false;
      },
    });
    const node = await contentNode(net, 'c', { clock });
    const waits = clock.nextSleep();
    const fetching = node.content.fetch(content.cid, { from: [slow.peerId, quick.peerId], maxBytes });
    await waits;
    clock.advance(LIMITS.content.doubleAfterMs);
    value(await fetching);
    expect(fromQuick).toEqual([0, 1, 2]);
  });

  it('goes on without a leaf that a provider said to have and does not give', async () => {
    const net = new MemoryNet();
    const content = await made(noise(4 * MiB));
    const [forgetful, other] = [net.peer('forgetful'), net.peer('other')];
    const refused = Promise.withResolvers<void>();
    const fromForgetful = await scriptedProvider(forgetful, content, {
      leaf: (index) => {
        if (index !== 1) return undefined;
        refused.resolve();
        return 'fault';
      },
    });
    await scriptedProvider(other, content, {
      describe: async () => {
        await refused.promise;
        return false;
      },
    });
    const node = await contentNode(net, 'c');
    value(await node.content.fetch(content.cid, { from: [forgetful.peerId, other.peerId], maxBytes }));
    expect(fromForgetful.filter((index) => index === 1)).toEqual([1]);
    expect(node.peer.reported).toEqual([]);
  });
});

describe('a fetch whose provider has given all it has', () => {
  const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('does not ask it again for a leaf that it said to have and refused', async () => {
    const net = new MemoryNet();
    const content = await made(noise(2 * MiB));
    const clock = new TestClock();
    const provider = net.peer('a');
    const asked = await scriptedProvider(provider, content, {
      leaf: (index) => (index === 1 ? 'fault' : undefined),
    });
    const node = await contentNode(net, 'c', { clock });
    const state = { over: false };
    const fetching = node.content.fetch(content.cid, { from: [provider.peerId], maxBytes });
    void fetching.finally(() => (state.over = true));
    while (!state.over) {
      clock.advance(LIMITS.content.refreshMs);
      await tick();
    }
    expect(await fetching).toMatchObject({ error: { code: 'content.no_provider', data: { doneBytes: MiB } } });
    expect(asked).toEqual([0, 1]);
  });

  it('is not given up while the last of it is on its way to the disk', async () => {
    const net = new MemoryNet();
    const content = await made(noise(2 * MiB));
    const clock = new TestClock();
    const provider = net.peer('a');
    await scriptedProvider(provider, content);
    const [writing, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow: Files = {
      ...nodeFiles,
      async open(file, mode) {
        const opened = await nodeFiles.open(file, mode);
        return {
          async write(bytes: Uint8Array, position: number) {
            if (position === MiB) {
              writing.resolve();
              await goOn.promise;
            }
            return opened.write(bytes, position);
          },
          read: (into: Uint8Array, position: number) => opened.read(into, position),
          truncate: (size: number) => opened.truncate(size),
          size: () => opened.size(),
          sync: () => opened.sync(),
          close: () => opened.close(),
        };
      },
    };
    const node = await contentNode(net, 'c', { clock, files: slow });
    const fetching = node.content.fetch(content.cid, { from: [provider.peerId], maxBytes });
    await writing.promise;
    // Long enough for the provider to be let go and for the search for others to end.
    for (let index = 0; index <= LIMITS.content.refreshes * 10; index += 1) {
      clock.advance(LIMITS.content.refreshMs);
      await tick();
    }
    goOn.resolve();
    value(await fetching);
  });
});

describe('several fetches of one content', () => {
  it('share one download', async () => {
    const net = new MemoryNet();
    const content = await made(noise(6 * MiB));
    const provider = net.peer('a');
    const asked = await scriptedProvider(provider, content);
    const node = await contentNode(net, 'c');
    const options = { from: [provider.peerId], maxBytes };
    const fetches = [1, 2, 3].map(() => node.content.fetch(content.cid, options));
    for (const result of await Promise.all(fetches)) value(result);
    expect(asked).toEqual(allLeaves(content));
    expect(node.peer.opened).toEqual([provider.peerId]);
  });

  it('end one by one: who cancels leaves, who may not have so much leaves, the last one stays', async () => {
    const net = new MemoryNet();
    const content = await made(noise(6 * MiB));
    const provider = net.peer('a');
    const [asked, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    await scriptedProvider(provider, content, {
      leaf: () => {
        asked.resolve();
        return goOn.promise;
      },
    });
    const node = await contentNode(net, 'c');
    const leaving = new AbortController();
    const from = [provider.peerId];
    const leaves = node.content.fetch(content.cid, { from, maxBytes, signal: leaving.signal });
    const stays = node.content.fetch(content.cid, { from, maxBytes });
    const small = node.content.fetch(content.cid, { from, maxBytes: MiB });
    await asked.promise;
    expect(await small).toMatchObject({ error: { code: 'content.too_large' } });
    expect(await node.content.fetch(content.cid, { from, maxBytes: MiB })).toMatchObject({
      error: { code: 'content.too_large' },
    });
    leaving.abort();
    expect(await leaves).toMatchObject({ error: { code: 'content.cancelled' } });
    goOn.resolve();
    value(await stays);
    expect(await node.content.has(content.cid)).toBe(true);
  });

  it('cancelled by all keep what has come, and the next one asks only for the rest', async () => {
    const net = new MemoryNet();
    const content = await made(noise(8 * MiB));
    const provider = net.peer('a');
    let blocked = true;
    const asked = await scriptedProvider(provider, content, {
      leaf: (_index, count) => (blocked && count > 3 ? new Promise<void>(() => undefined) : undefined),
    });
    const node = await contentNode(net, 'c');
    const leaving = new AbortController();
    const fetching = node.content.fetch(content.cid, {
      from: [provider.peerId],
      maxBytes,
      signal: leaving.signal,
      onProgress: ({ doneBytes }) => {
        if (doneBytes === 3 * MiB) leaving.abort();
      },
    });
    expect(await fetching).toMatchObject({ error: { code: 'content.cancelled' } });
    expect(await node.content.has(content.cid)).toBe(false);
    expect(await node.content.read(content.cid)).toMatchObject({ error: { code: 'content.not_found' } });
    blocked = false;
    const before = asked.length;
    value(await node.content.fetch(content.cid, { from: [provider.peerId], maxBytes }));
    expect(asked.slice(before)).toEqual([3, 4, 5, 6, 7]);
  });
});

describe('a fetch and its disk', () => {
  it('that fills up midway ends in disk_full, keeps what it has, and is continued when there is room', async () => {
    const net = new MemoryNet();
    const content = await made(noise(8 * MiB));
    const provider = net.peer('a');
    const asked = await scriptedProvider(provider, content);
    const disk = new FaultyFiles();
    const node = await contentNode(net, 'c', { files: disk.files });
    let written = 0;
    disk.trouble = (operation) => {
      if (operation === 'write') written += 1;
      // Two writes a leaf: the leaf and its bit.
      return operation === 'write' && written > 6 ? 'ENOSPC' : undefined;
    };
    const from = [provider.peerId];
    expect(await node.content.fetch(content.cid, { from, maxBytes })).toMatchObject({
      error: { code: 'content.disk_full' },
    });
    disk.trouble = () => undefined;
    const before = asked.length;
    value(await node.content.fetch(content.cid, { from, maxBytes }));
    expect(asked.length - before).toBeLessThan(8);
    expect(same(value(await node.content.read(content.cid)), content.bytes)).toBe(true);
    expect(node.peer.reported).toEqual([]);
  });

  it('that has no room to begin with says so before anything is written', async () => {
    const net = new MemoryNet();
    const content = await made(noise(2 * MiB));
    const provider = net.peer('a');
    const asked = await scriptedProvider(provider, content);
    const disk = new FaultyFiles();
    const node = await contentNode(net, 'c', { files: { ...disk.files, freeBytes: async () => MiB } });
    expect(await node.content.fetch(content.cid, { from: [provider.peerId], maxBytes })).toMatchObject({
      error: { code: 'content.disk_full' },
    });
    expect(asked).toEqual([]);
    expect(node.content.list()).toEqual([]);
  });

  it('ends in content.stopped when the service stops, in content.cancelled when it is removed', async () => {
    const net = new MemoryNet();
    const content = await made(noise(2 * MiB));
    const provider = net.peer('a');
    await scriptedProvider(provider, content, { leaf: () => new Promise<void>(() => undefined) });
    const node = await contentNode(net, 'c');
    const begun = (): { fetching: ReturnType<typeof node.content.fetch>; running: Promise<void> } => {
      const running = Promise.withResolvers<void>();
      const options = { from: [provider.peerId], maxBytes, onProgress: () => running.resolve() };
      return { fetching: node.content.fetch(content.cid, options), running: running.promise };
    };
    const first = begun();
    await first.running;
    await node.content.remove(content.cid);
    expect(await first.fetching).toMatchObject({ error: { code: 'content.cancelled' } });
    expect(node.content.list()).toEqual([]);
    const second = begun();
    await second.running;
    await node.content.stop();
    expect(await second.fetching).toMatchObject({ error: { code: 'content.stopped' } });
    expect(await begun().fetching).toMatchObject({ error: { code: 'content.stopped' } });
    expect(await node.content.add(noise(1))).toMatchObject({ error: { code: 'content.stopped' } });
  });
});
