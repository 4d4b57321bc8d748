import { mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { MiB } from '#shared/units.ts';
import type { Content, ManifestCid } from '#core/content/port.ts';
import { MemoryNet } from '#support/memory-network.ts';
import { tempDir } from '#support/temp-dir.ts';
import { writeFileAt } from './parts/damage.ts';
import { FaultyFiles } from './parts/faulty-files.ts';
import { contentNode, noise, value } from './parts/rig.ts';
import { made } from './parts/scripted-provider.ts';
import { TestClock } from './parts/test-clock.ts';

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const node = (options: Parameters<typeof contentNode>[2] = {}) => contentNode(new MemoryNet(), 'a', options);
const names = (content: Content): ManifestCid[] => content.list().map(({ cid }) => cid);

describe('added content', () => {
  it.each([0, 1, MiB - 1, MiB, MiB + 1, 3 * MiB + 5])('of %i bytes is read back, whole and in ranges', async (size) => {
    const { content } = await node();
    const bytes = noise(size);
    const cid = value(await content.add(bytes));
    expect(same(value(await content.read(cid)), bytes)).toBe(true);
    const ends = [0, 1, size >> 1, size].filter((end) => end <= size);
    for (const from of ends) {
      for (const to of ends.filter((end) => end >= from)) {
        const range = value(await content.readRange(cid, from, to - from));
        expect(same(range, bytes.subarray(from, to))).toBe(true);
      }
    }
  });

  it('has the same name whether it comes from memory or from a file, and is stored once', async () => {
    const { content, directory } = await node();
    const bytes = noise(2 * MiB + 3);
    const file = path.join(tempDir(), 'model.onnx');
    await writeFile(file, bytes);
    const cid = value(await content.add(bytes));
    const before = await stat(path.join(directory, cid, 'data'));
    expect(value(await content.addFile(file))).toBe(cid);
    expect(value(await content.add(bytes))).toBe(cid);
    expect((await stat(path.join(directory, cid, 'data'))).mtimeMs).toBe(before.mtimeMs);
    expect(content.usage()).toMatchObject({ entries: 1, usedBytes: bytes.byteLength });
    expect(cid).toBe((await made(bytes)).cid);
  });

  it('is refused where a range does not exist or the name is not here', async () => {
    const { content } = await node();
    const cid = value(await content.add(noise(10)));
    for (const [offset, length] of [
      [0, 11],
      [-1, 2],
      [11, 0],
      [0.5, 1],
      [NaN, 1],
      [0, -1],
      [2 ** 53, 1],
    ] as const) {
      expect(await content.readRange(cid, offset, length)).toMatchObject({ error: { code: 'content.range_invalid' } });
    }
    await content.remove(cid);
    expect(await content.has(cid)).toBe(false);
    expect(await content.read(cid)).toMatchObject({ error: { code: 'content.not_found' } });
    expect(await content.pin(cid, true)).toMatchObject({ error: { code: 'content.not_found' } });
    await content.remove(cid);
  });

  it('from a file that is absent, a folder or a pipe is refused in words', async () => {
    const { content, directory } = await node();
    for (const file of [path.join(directory, 'absent'), directory, '/dev/zero']) {
      expect(await content.addFile(file)).toMatchObject({ error: { code: 'content.source_unreadable' } });
    }
  });

  it('from a file that changes meanwhile is refused and nothing of it is offered', async () => {
    const disk = new FaultyFiles();
    const { content } = await node({ files: disk.files });
    const folder = tempDir();
    for (const change of [
      (file: string) => truncate(file, MiB),
      (file: string) => writeFile(file, noise(2 * MiB, 9)),
    ]) {
      const file = path.join(folder, 'changing');
      await writeFile(file, noise(2 * MiB));
      // The name is known when the entry's folder is made; then the copy begins.
      const changing: typeof disk.files = {
        ...disk.files,
        makeFolder: async (made) => {
          await change(file);
          return disk.files.makeFolder(made);
        },
      };
      const other = await node({ files: changing });
      // Making the content folder itself has changed the file already: write it anew.
      await writeFile(file, noise(2 * MiB));
      expect(await other.content.addFile(file)).toMatchObject({ error: { code: 'content.source_changed' } });
      expect(other.content.list().every((entry) => !entry.complete)).toBe(true);
    }
    expect(names(content)).toEqual([]);
  });

  it('can be cancelled', async () => {
    const { content } = await node();
    expect(await content.add(noise(MiB), { signal: AbortSignal.abort() })).toMatchObject({
      error: { code: 'content.cancelled' },
    });
    expect(content.list()).toEqual([]);
  });
});

describe('the budget', () => {
  it('is kept by deleting what was used longest ago, but neither what is pinned nor what is larger than it', async () => {
    const clock = new TestClock();
    const { content, directory } = await node({ budgetBytes: 4 * MiB, clock });
    const added: ManifestCid[] = [];
    for (const seed of [1, 2, 3]) {
      clock.advance(1000);
      added.push(value(await content.add(noise(MiB, seed), { pin: seed === 1 })));
    }
    const [pinned, second, third] = added as [ManifestCid, ManifestCid, ManifestCid];
    clock.advance(1000);
    value(await content.read(second));
    const fourth = value(await content.add(noise(2 * MiB, 4)));
    // The third is the oldest by use: the second was read since.
    expect(names(content).sort()).toEqual([pinned, second, fourth].sort());
    expect(await content.has(third)).toBe(false);
    expect((await readdir(directory)).sort()).toEqual(names(content).sort());
    expect(content.usage()).toEqual({ usedBytes: 4 * MiB, budgetBytes: 4 * MiB, entries: 3 });
    expect(await content.add(noise(4 * MiB + 1, 5))).toMatchObject({ error: { code: 'content.over_budget' } });
    expect(names(content).length).toBe(3);
    expect(await content.add(noise(4 * MiB, 6))).toMatchObject({ error: { code: 'content.over_budget' } });
    expect(await content.has(pinned)).toBe(true);
    value(await content.pin(pinned, false));
    value(await content.add(noise(4 * MiB, 7)));
    expect(names(content).length).toBe(1);
  });

  it('never takes what is being read', async () => {
    const { content } = await node({ budgetBytes: 8 * MiB });
    const bytes = noise(6 * MiB);
    const cid = value(await content.add(bytes));
    const reading = content.read(cid);
    const adding = content.add(noise(4 * MiB, 2));
    expect(same(value(await reading), bytes)).toBe(true);
    expect(await adding).toMatchObject({ error: { code: 'content.over_budget' } });
    value(await content.add(noise(4 * MiB, 2)));
  });
});

describe('the content folder', () => {
  it('is found again as it was', async () => {
    const directory = tempDir();
    const first = await node({ directory });
    const bytes = noise(2 * MiB);
    const cid = value(await first.content.add(bytes, { pin: true }));
    await first.content.stop();
    const second = await node({ directory });
    expect(second.content.list()).toMatchObject([{ cid, totalBytes: 2 * MiB, complete: true, pinned: true }]);
    expect(same(value(await second.content.read(cid)), bytes)).toBe(true);
  });

  it('loses what a crash left half made, and nothing that is not its own', async () => {
    const directory = tempDir();
    const half = (await made(noise(5))).cid;
    await mkdir(path.join(directory, half));
    await writeFile(path.join(directory, half, 'data'), 'xxxxx');
    const garbled = (await made(noise(6))).cid;
    await mkdir(path.join(directory, garbled));
    await writeFile(path.join(directory, garbled, 'entry.json'), '{"version":1,"totalBytes":"6"');
    await writeFile(path.join(directory, 'holiday.jpg'), 'mine');
    const { content } = await node({ directory });
    expect(content.list()).toEqual([]);
    expect(await readdir(directory)).toEqual(['holiday.jpg']);
  });

  it('that cannot be a folder is a coded error', async () => {
    const file = path.join(tempDir(), 'file');
    await writeFile(file, '');
    await expect(node({ directory: file })).rejects.toThrow('content.disk_failed');
  });

  it('notices a manifest that is gone or another one, and forgets the content', async () => {
    const directory = tempDir();
    const first = await node({ directory });
    const [one, two] = [value(await first.content.add(noise(10))), value(await first.content.add(noise(20)))];
    await first.content.stop();
    await rm(path.join(directory, one, 'manifest.cbor'));
    await writeFile(path.join(directory, two, 'manifest.cbor'), (await made(noise(30))).manifestBytes);
    const second = await node({ directory });
    for (const cid of [one, two]) {
      expect(await second.content.read(cid)).toMatchObject({ error: { code: 'content.not_found' } });
      expect(await second.content.has(cid)).toBe(false);
    }
    expect(await readdir(directory)).toEqual([]);
  });
});

describe('a damaged disk', () => {
  it('is noticed by every read, and adding the content again repairs it', async () => {
    const { content, directory } = await node();
    const bytes = noise(3 * MiB);
    const cid = value(await content.add(bytes));
    await writeFileAt(path.join(directory, cid, 'data'), MiB + 100, Uint8Array.of(1, 2, 3));
    expect(same(value(await content.readRange(cid, 0, MiB)), bytes.subarray(0, MiB))).toBe(true);
    expect(await content.read(cid)).toMatchObject({ error: { code: 'content.damaged', data: { cid, leaf: 1 } } });
    expect(await content.has(cid)).toBe(false);
    expect(value(await content.add(bytes))).toBe(cid);
    expect(same(value(await content.read(cid)), bytes)).toBe(true);
  });

  it('that lost the end of a file is noticed after a restart too, and so is a bitmap that claims too much', async () => {
    const directory = tempDir();
    const bytes = noise(3 * MiB);
    const first = await node({ directory });
    const cid = value(await first.content.add(bytes));
    await first.content.stop();
    await truncate(path.join(directory, cid, 'data'), 2 * MiB + 1);
    const second = await node({ directory });
    expect(await second.content.read(cid)).toMatchObject({ error: { code: 'content.damaged' } });
    await second.content.stop();
    await writeFile(path.join(directory, cid, 'have'), Uint8Array.of(0xff));
    const third = await node({ directory });
    expect(await third.content.has(cid)).toBe(false);
    value(await third.content.add(bytes));
    expect(same(value(await third.content.read(cid)), bytes)).toBe(true);
  });

  it('does not lead outside its folder through a link with the name of content', async () => {
    const [directory, outside] = [tempDir(), tempDir()];
    await writeFile(path.join(outside, 'precious'), 'data');
    await symlink(outside, path.join(directory, (await made(noise(5))).cid));
    const { content } = await node({ directory });
    expect(content.list()).toEqual([]);
    expect(await readFile(path.join(outside, 'precious'), 'utf8')).toBe('data');
  });
});

describe('a disk that fails at any one operation', () => {
  const bytes = noise(MiB + 9);
  const other = noise(500, 2);
  // So small that adding the one evicts the other.
  const budgetBytes = MiB + 100;

  /** Adds, evicts and reads; answers the error codes met. */
  async function work(content: Content): Promise<string[]> {
    const codes: string[] = [];
    for (const piece of [bytes, other]) {
      const added = await content.add(piece);
      const read = added.ok ? await content.read(added.value) : added;
      if (!read.ok) codes.push(read.error.code);
    }
    return codes;
  }

  it('answers with a coded error and is whole afterwards', async () => {
    const counting = new FaultyFiles();
    const reference = await node({ files: counting.files, budgetBytes });
    counting.trouble = () => undefined;
    expect(await work(reference.content)).toEqual([]);
    const operations = counting.count;
    expect(operations).toBeGreaterThan(20);
    let met = 0;
    for (let failing = 1; failing <= operations; failing += 1) {
      const [systemCode, expected] =
        failing % 2 === 0 ? ['ENOSPC', 'content.disk_full'] : ['EIO', 'content.disk_failed'];
      const disk = new FaultyFiles();
      const broken = await node({ files: disk.files, budgetBytes });
      disk.trouble = (_operation, number) => (number === failing ? systemCode : undefined);
      const codes = await work(broken.content);
      met += codes.length;
      // Some failures cost nothing, such as one to tidy up.
      expect(codes.filter((code) => code !== expected)).toEqual([]);
      await broken.content.stop();
      const again = await node({ budgetBytes, directory: broken.directory });
      for (const { cid, complete } of again.content.list()) {
        const read = await again.content.read(cid);
        expect(read.ok).toBe(complete);
      }
      expect(await work(again.content)).toEqual([]);
      await again.content.stop();
    }
    expect(met).toBeGreaterThan(operations / 3);
  }, 60_000);
});
