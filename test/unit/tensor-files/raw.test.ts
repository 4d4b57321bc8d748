import { describe, expect, it } from 'vitest';
import { parseDescription, readRaw } from '#shared/tensor-files/raw.ts';

const MAX = 1000;

describe('the description of a raw tensor', () => {
  it.each([
    ['float32:1,28,28', 'float32', [1, 28, 28]],
    ['uint8:-1x3', 'uint8', [-1, 3]],
    ['int64:', 'int64', []],
    [' bool:4 ', 'bool', [4]],
  ])('%j is read', (text, dtype, dims) => {
    expect(parseDescription(text)).toEqual({ ok: true, value: { dtype, dims } });
  });

  it.each([
    '',
    'float32',
    'float31:1',
    'float32:1,,2',
    'float32:-2',
    'float32:-1,-1',
    'float32:1.5',
    'float32:1,1,1,1,1,1,1,1,1',
    ':1',
    'float32:9999999999999999',
  ])('%j is refused', (text) => {
    expect(parseDescription(text)).toMatchObject({ ok: false, error: { code: 'tensor_file.description_invalid' } });
  });
});

describe('raw bytes', () => {
  const twelve = Uint8Array.from({ length: 12 }, (_, index) => index);

  it('become the tensor described', () => {
    expect(readRaw(twelve, { dtype: 'int16', dims: [2, 3] }, MAX)).toEqual({
      ok: true,
      value: { dtype: 'int16', dims: [2, 3], bytes: twelve },
    });
    expect(readRaw(twelve, { dtype: 'float32', dims: [-1, 1] }, MAX)).toMatchObject({ value: { dims: [3, 1] } });
    expect(readRaw(new Uint8Array(), { dtype: 'float32', dims: [-1, 7] }, MAX)).toMatchObject({
      value: { dims: [0, 7] },
    });
    expect(readRaw(new Uint8Array(8), { dtype: 'int64', dims: [] }, MAX)).toMatchObject({ value: { dims: [] } });
  });

  it('of another length are refused with both lengths', () => {
    for (const [dtype, dims, expectedBytes] of [
      ['int16', [2, 4], 16],
      ['float64', [-1], 8],
      ['int8', [-1, 5], 10],
      ['int8', [-1, 0], 0],
    ] as const) {
      expect(readRaw(twelve, { dtype, dims }, MAX)).toMatchObject({
        ok: false,
        error: { code: 'tensor_file.mismatch', data: { bytes: 12, expectedBytes } },
      });
    }
    expect(readRaw(twelve, { dtype: 'int8', dims: [2 ** 40, 2 ** 40] }, MAX)).toMatchObject({
      error: { code: 'tensor_file.too_large' },
    });
    expect(readRaw(new Uint8Array(MAX + 1), { dtype: 'int8', dims: [-1] }, MAX)).toMatchObject({
      error: { code: 'tensor_file.too_large' },
    });
  });
});
