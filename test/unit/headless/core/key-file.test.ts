import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { peerKeyFromFile, practicePurseFromFile } from '#core/key-file.ts';
import { tempDir } from '#support/temp-dir.ts';

describe('a key file', () => {
  it('is made once, for its owner only, and gives the same key ever after', async () => {
    const file = path.join(tempDir(), 'deep/peer.key');
    const first = await peerKeyFromFile(file);
    chmodSync(file, 0o644);
    const again = await peerKeyFromFile(file);
    expect(first.ok && again.ok && first.value.peerId === again.value.peerId).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('is one key for all that start at once', async () => {
    const file = path.join(tempDir(), 'purse.key');
    const purses = await Promise.all(Array.from({ length: 8 }, () => practicePurseFromFile(file)));
    expect(new Set(purses.map((purse) => (purse.ok ? purse.value.address : purse.error.code))).size).toBe(1);
    expect(readdirSync(path.dirname(file))).toEqual(['purse.key']);
  });

  it('that holds no key is refused and left as it is, without being shown', async () => {
    const file = path.join(tempDir(), 'peer.key');
    for (const text of ['not it', '0'.repeat(64), 'f'.repeat(64), 'secret words that are not hexadecimal']) {
      writeFileSync(file, text);
      const read = await peerKeyFromFile(file);
      expect(read).toMatchObject({ ok: false, error: { code: 'key.damaged', data: { file } } });
      expect(JSON.stringify(read.ok || read.error.message)).not.toContain(text);
      expect(readFileSync(file, 'utf8')).toBe(text);
    }
  });

  it('that cannot be read or made is an error that names the place', async () => {
    const folder = tempDir();
    expect(await peerKeyFromFile(folder)).toMatchObject({ ok: false, error: { code: 'key.unreadable' } });
    const blocked = path.join(folder, 'file');
    writeFileSync(blocked, '');
    expect(await peerKeyFromFile(path.join(blocked, 'peer.key'))).toMatchObject({ ok: false });
  });
});
