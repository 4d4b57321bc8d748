import { readFileSync } from 'node:fs';
import path from 'node:path';
import { computeAddress, hexlify, recoverAddress } from 'ethers';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { generatePeerKey, peerKeyFromBytes, peerKeyToBytes } from '#core/network/peer-key.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

describe('a peer key', () => {
  it('is the same after it was stored', async () => {
    const key = await generatePeerKey();
    expect(peerKeyFromBytes(peerKeyToBytes(key)).peerId).toBe(key.peerId);
    expect(key.publicKey).toHaveLength(33);
  });

  it('signs digests that a chain recovers its address from', async () => {
    const key = await generatePeerKey();
    const digest = new Uint8Array(32).fill(5);
    const signature = await key.signDigest(digest);
    expect(recoverAddress(digest, hexlify(signature))).toBe(computeAddress(hexlify(key.publicKey)));
  });

  it('refuses bytes that are no key', () => {
    expect(() => peerKeyFromBytes(new Uint8Array(32))).toThrow(/peer key/);
    expect(() => peerKeyFromBytes(new Uint8Array(31).fill(1))).toThrow(/32 bytes/);
  });

  it('agrees with test/vectors/peer-key.json', async () => {
    const file = path.resolve(import.meta.dirname, '../../vectors/peer-key.json');
    const vector = z
      .object({
        privateKey: z.string(),
        publicKey: z.string(),
        peerId: z.string(),
        digest: z.string(),
        signature: z.string(),
      })
      .parse(JSON.parse(readFileSync(file, 'utf8')));
    const key = peerKeyFromBytes(bytes(vector.privateKey));
    expect(key.peerId).toBe(vector.peerId);
    expect(hex(key.publicKey)).toBe(vector.publicKey);
    expect(hex(await key.signDigest(bytes(vector.digest)))).toBe(vector.signature);
  });
});
