import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CLASSES, IMAGE_PIXELS, drawDigits } from '#core/requester/practice/digits.ts';

describe('drawn digits', () => {
  it('are the same for the same words, and others for others', () => {
    const hash = (...words: number[]) => {
      const { images, labels } = drawDigits(20, ...words);
      return createHash('sha256').update(new Uint8Array(images.buffer)).update(labels).digest('hex');
    };
    expect(hash(1, 2)).toBe(hash(1, 2));
    expect(new Set([hash(1, 2), hash(1, 3), hash(2, 2)]).size).toBe(3);
  });

  it('have ink between nothing and full, on mostly empty paper', () => {
    const { images, labels } = drawDigits(200, 3);
    for (const [k] of labels.entries()) {
      const image = images.subarray(k * IMAGE_PIXELS, (k + 1) * IMAGE_PIXELS);
      expect(Math.min(...image)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...image)).toBeLessThanOrEqual(1);
      const inked = image.filter((value) => value > 0.5).length;
      expect(inked).toBeGreaterThan(20);
      expect(inked).toBeLessThan(IMAGE_PIXELS / 2);
    }
  });

  it('show every class about as often', () => {
    const counts = Array.from({ length: CLASSES }, () => 0);
    for (const label of drawDigits(2000, 4).labels) counts[label]! += 1;
    for (const count of counts) expect(Math.abs(count - 200)).toBeLessThan(60);
  });
});
