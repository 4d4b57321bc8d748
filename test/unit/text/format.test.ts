import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration, formatTokens, formatTokensShort, shorten } from '#shared/text/format.ts';

describe('amounts for people', () => {
  it.each([
    [0n, 18, '0'],
    [1n, 18, '0.000000000000000001'],
    [1_500_000_000_000_000_000n, 18, '1.5'],
    [-25n, 1, '-2.5'],
    [42n, 0, '42'],
  ])('%s with %s decimals is %s', (amount, decimals, text) => {
    expect(formatTokens(amount, decimals)).toBe(text);
  });

  it('lose nothing: the text says the same amount', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 1n << 200n }), fc.integer({ min: 1, max: 36 }), (amount, decimals) => {
        const [whole = '', fraction = ''] = formatTokens(amount, decimals).split('.');
        expect(BigInt(whole + fraction.padEnd(decimals, '0'))).toBe(amount);
      }),
    );
  });

  it('are rounded down, never up, where they are shortened', () => {
    expect(formatTokensShort(1_999_999_999_999_999_999n, 18)).toBe('1.9999');
    expect(formatTokensShort(1n, 18)).toBe('< 0.0001');
    expect(formatTokensShort(0n, 18)).toBe('0');
  });
});

describe('sizes, times and names for people', () => {
  it.each([
    [512, '512 B'],
    [1536, '1.5 KB'],
    [5 * 1024 ** 2, '5.0 MB'],
    [8 * 1024 ** 3, '8.0 GB'],
  ])('%s bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [3.21, '3.2 ms'],
    [1500, '1.5 s'],
    [125_000, '02:05'],
    [3_725_000, '1:02:05'],
  ])('%s ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  it('keep both ends of a long name', () => {
    expect(shorten('16Uiu2HAmPeerIdThatIsLong')).toBe('16Uiu2…Long');
    expect(shorten('short')).toBe('short');
  });
});
