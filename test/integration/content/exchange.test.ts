import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '#core/content/clock.ts';
import type { Clock } from '#core/content/clock.ts';
import { createContent } from '#core/content/create-content.ts';
import type { Content } from '#core/content/port.ts';
import { cidOf } from '#core/content/hash.ts';
import type { Network } from '#core/network/port.ts';
import { GiB, MiB } from '#shared/units.ts';
import { eventually, peerOf, TestNodes } from '#support/network-nodes.ts';
import { tempDir } from '#support/temp-dir.ts';
import { noise, value } from '../../unit/content/parts/rig.ts';
import { made, scriptedProvider } from '../../unit/content/parts/scripted-provider.ts';
import { ContentChild } from './parts/content-child.ts';

const maxBytes = GiB;
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe('content over libp2p', () => {
  const nodes = new TestNodes();
  const contents: Content[] = [];
  afterEach(async () => {
    await Promise.all(contents.splice(0).map((content) => content.stop()));
    await nodes.stop();
  });

  /** A search in a network without anybody in its DHT takes as long as it may. */
  const impatient: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 1000), signal) };

  async function contentOn(network: Network): Promise<Content> {
    const options = { network, directory: tempDir(), budgetBytes: maxBytes, clock: impatient };
    const content = value(await createContent(options));
    contents.push(content);
    return content;
  }

  /** A home that is connected to these peers. */
  async function homeOf(...peers: readonly { readonly peerId: string; readonly addresses: readonly string[] }[]) {
    const home = await nodes.home([], {
      bootstrap: peers.flatMap(({ addresses }) => [...addresses]),
      privateAddresses: true,
    });
    for (const { peerId } of peers) {
      await eventually(home, () => home.peers().find((peer) => peer.peerId === peerId));
    }
    return home;
  }

  it('goes from one peer to another, found in the DHT by its name alone', async () => {
    const relay = await nodes.relay();
    const [a, b] = [await nodes.home([relay]), await nodes.home([relay])];
    await Promise.all([a, b].map((home) => eventually(home, () => peerOf(home, relay.network))));
    const [from, to] = [await contentOn(a), await contentOn(b)];
    const bytes = noise(9 * MiB + 1);
    const cid = value(await from.add(bytes, { announce: false }));
    await a.provide(cid);
    value(await to.fetch(cid, { from: [], maxBytes }));
    expect(same(value(await to.read(cid)), bytes)).toBe(true);
  });

  it('survives the death of one of two providers midway', async () => {
    const bytes = noise(96 * MiB);
    const file = path.join(tempDir(), 'model');
    await writeFile(file, bytes);
    const children = await Promise.all([1, 2].map(() => ContentChild.start({ directory: tempDir(), bootstrap: [] })));
    const [cid] = await Promise.all(children.map((child) => child.order({ do: 'add-file', file })));
    const { cid: expected } = await made(bytes);
    expect(cid).toBe(expected);
    const home = await homeOf(...children);
    const content = await contentOn(home);
    const killed = Promise.withResolvers<void>();
    let killing = false;
    const fetching = content.fetch(expected, {
      from: children.map((child) => child.peerId),
      maxBytes,
      onProgress: ({ doneBytes }) => {
        if (doneBytes < 16 * MiB || killing) return;
        killing = true;
        void children[0]?.kill().then(killed.resolve);
      },
    });
    value(await fetching);
    await killed.promise;
    expect(same(value(await content.read(expected)), bytes)).toBe(true);
  });

  it('costs the sender of a wrong leaf its good name, and is completed by another', async () => {
    const content = await made(noise(8 * MiB));
    const [liar, honest] = [await nodes.home([]), await nodes.home([])];
    await scriptedProvider(liar, content, {
      leaf: (index) => (index === 1 ? new Uint8Array(MiB) : undefined),
    });
    await scriptedProvider(honest, content);
    const home = await homeOf(
      ...[liar, honest].map((network) => ({ peerId: network.peerId, addresses: network.addresses() })),
    );
    const reports: string[] = [];
    const report = home.report.bind(home);
    home.report = (peer, misdeed) => {
      reports.push(`${peer} ${misdeed}`);
      report(peer, misdeed);
    };
    const mine = await contentOn(home);
    const alone = await mine.fetch(content.cid, { from: [liar.peerId], maxBytes });
    expect(alone).toMatchObject({ error: { code: 'content.no_provider' } });
    value(await mine.fetch(content.cid, { from: [liar.peerId, honest.peerId], maxBytes }));
    expect(reports).toEqual([`${liar.peerId} wrong_bytes`]);
    expect(same(value(await mine.read(content.cid)), content.bytes)).toBe(true);
  });

  it('is resumed where a kill -9 left it', async () => {
    const bytes = noise(128 * MiB);
    const source = await nodes.home([]);
    const provider = await contentOn(source);
    const cid = value(await provider.add(bytes, { announce: false }));
    const directory = tempDir();
    const config = { directory, bootstrap: source.addresses() };
    const first = await ContentChild.start(config);
    const midway = new Promise<void>((resolve) => {
      first.onProgress((doneBytes) => {
        if (doneBytes >= 24 * MiB) resolve();
      });
    });
    void first.order({ do: 'fetch', cid, from: [source.peerId] });
    await midway;
    await first.kill();
    const told = first.progress.at(-1) ?? 0;
    expect(told).toBeLessThan(bytes.byteLength);

    const second = await ContentChild.start(config);
    expect(await second.order({ do: 'has', cid })).toBe(false);
    expect(await second.order({ do: 'fetch', cid, from: [source.peerId] })).toBe('ok');
    // What the first one was told to be on disk is there; the rest alone was fetched.
    expect(second.progress.at(0)).toBeGreaterThanOrEqual(told);
    expect(second.progress.at(-1)).toBe(bytes.byteLength);
    await second.kill();
    const home = await nodes.home([]);
    const kept = value(await createContent({ network: home, directory, budgetBytes: maxBytes }));
    contents.push(kept);
    expect(same(value(await kept.read(cid)), bytes)).toBe(true);
  });

  it('is refused under a name that its bytes do not have', async () => {
    const content = await made(noise(MiB));
    const liar = await nodes.home([]);
    await scriptedProvider(liar, content);
    const home = await homeOf({ peerId: liar.peerId, addresses: liar.addresses() });
    const other = cidOf(noise(100));
    expect(await (await contentOn(home)).fetch(other, { from: [liar.peerId], maxBytes })).toMatchObject({
      error: { code: 'content.no_provider' },
    });
  });
});
