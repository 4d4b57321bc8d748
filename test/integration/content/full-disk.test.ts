import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MiB } from '#shared/units.ts';
import { MemoryNet } from '#support/memory-network.ts';
import { contentNode, noise, value } from '../../unit/content/parts/rig.ts';

/** A disk of 40 MiB, where this machine lets us have one. */
function smallDisk(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const folder = mkdtempSync(path.join(tmpdir(), 'hearth-small-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', folder]);
  if (mounted.status === 0) return folder;
  rmSync(folder, { recursive: true });
  return undefined;
}

const disk = smallDisk();

describe('a disk that is really full', () => {
  afterAll(() => {
    if (disk === undefined) return;
    spawnSync('umount', [disk]);
    rmSync(disk, { recursive: true });
  });

  it.skipIf(disk === undefined)(
    'ends a fetch in disk_full and lets it go on when there is room (needs root to mount a tmpfs)',
    async () => {
      if (disk === undefined) return;
      const net = new MemoryNet();
      const directory = path.join(disk, 'content');
      const [a, b] = [await contentNode(net, 'a'), await contentNode(net, 'b', { directory })];
      const bytes = noise(32 * MiB);
      const cid = value(await a.content.add(bytes));
      const small = value(await b.content.add(noise(MiB, 2), { pin: true }));
      const filler = path.join(disk, 'filler');
      let filling: Promise<void> | undefined;
      const options = { from: [a.peer.peerId], maxBytes: 64 * MiB };
      const fetched = await b.content.fetch(cid, {
        ...options,
        onProgress: ({ doneBytes }) => {
          if (doneBytes >= 4 * MiB) filling ??= writeFile(filler, new Uint8Array(64 * MiB)).catch(() => undefined);
        },
      });
      await filling;
      expect(fetched).toMatchObject({ ok: false, error: { code: 'content.disk_full' } });
      // Nothing that was there before has suffered, and small things cannot be added now either.
      expect(value(await b.content.read(small)).byteLength).toBe(MiB);
      expect(await b.content.add(noise(2 * MiB, 3))).toMatchObject({ error: { code: 'content.disk_full' } });
      await b.content.stop();
      await rm(filler);

      const again = await contentNode(net, 'b', { directory });
      expect(value(await again.content.read(small)).byteLength).toBe(MiB);
      const progress: number[] = [];
      value(await again.content.fetch(cid, { ...options, onProgress: ({ doneBytes }) => progress.push(doneBytes) }));
      expect(progress[0]).toBeGreaterThanOrEqual(4 * MiB);
      expect(Buffer.compare(value(await again.content.read(cid)), bytes)).toBe(0);
    },
  );
});
