import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DTYPE_BYTES, DTYPES, elementCount } from '#shared/model/tensor.ts';
import type { Tensor } from '#shared/model/tensor.ts';
import { readNpy, writeNpy } from '#shared/tensor-files/npy.ts';
import { readNpz } from '#shared/tensor-files/npz.ts';

interface Vectors {
  readonly npy: readonly {
    readonly name: string;
    readonly file: string;
    readonly dtype: Tensor['dtype'];
    readonly dims: readonly number[];
    readonly bytes: string;
  }[];
  readonly npz: readonly { readonly name: string; readonly file: string }[];
  readonly refused: readonly { readonly name: string; readonly file: string; readonly code: string }[];
}

const vectors = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../../vectors/tensor-files.json'), 'utf8'),
) as Vectors;
const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, 'base64'));
const MAX = 1 << 20;

/** A .npy file with any header one likes. */
function npy(header: string, data: Uint8Array = new Uint8Array(), version = 1): Uint8Array {
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) length.writeUInt16LE(header.length);
  else length.writeUInt32LE(header.length);
  return Uint8Array.from(
    Buffer.concat([Buffer.from('\u0093NUMPY', 'latin1'), Buffer.of(version, 0), length, Buffer.from(header), data]),
  );
}

describe('a .npy file', () => {
  it.each(vectors.npy.map((vector) => [vector.name, vector] as const))('of NumPy is read: %s', (_name, vector) => {
    const read = readNpy(bytesOf(vector.file), MAX);
    expect(read).toEqual({
      ok: true,
      value: { dtype: vector.dtype, dims: vector.dims, bytes: bytesOf(vector.bytes) },
    });
  });

  it('is written as NumPy writes it, byte for byte', () => {
    const plain = vectors.npy.filter(
      ({ name }) => !/endian f|endian i|Fortran|version/.test(name) || name.includes('little'),
    );
    expect(plain.length).toBeGreaterThan(13);
    for (const { name, file, dtype, dims, bytes } of plain) {
      const written = writeNpy({ dtype, dims, bytes: bytesOf(bytes) });
      expect({ name, file: Buffer.from(written).toString('base64') }).toEqual({ name, file });
    }
  });

  it.each(vectors.refused.map((vector) => [vector.name, vector] as const))('with %s is refused', (_name, vector) => {
    expect(readNpy(bytesOf(vector.file), MAX)).toMatchObject({ ok: false, error: { code: vector.code } });
  });

  it('comes back as it was written, whatever its type and shape', () => {
    const tensors = fc
      .tuple(fc.constantFrom(...DTYPES), fc.array(fc.nat(5), { maxLength: 5 }), fc.infiniteStream(fc.nat(255)))
      .map(([dtype, dims, values]): Tensor => {
        const bytes = new Uint8Array(elementCount(dims) * DTYPE_BYTES[dtype]);
        for (let index = 0; index < bytes.byteLength; index += 1) {
          bytes[index] = (values.next().value ?? 0) % (dtype === 'bool' ? 2 : 256);
        }
        return { dtype, dims, bytes };
      });
    fc.assert(
      fc.property(tensors, (tensor) => {
        expect(readNpy(writeNpy(tensor), MAX)).toEqual({ ok: true, value: tensor });
      }),
      { numRuns: 200 },
    );
  });

  it('is read from a view into a larger buffer and shares no memory with it', () => {
    const tensor: Tensor = { dtype: 'int16', dims: [3], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    const file = writeNpy(tensor);
    const shifted = new Uint8Array(file.byteLength + 7);
    shifted.set(file, 7);
    const read = readNpy(shifted.subarray(7), MAX);
    shifted.fill(0);
    expect(read).toEqual({ ok: true, value: tensor });
  });

  it.each([
    ['a header with its fields in another order', "{'shape':(2,),'fortran_order':False,'descr':'|u1'}"],
    ['double quotes and odd spacing', '{ "descr" : "|u1" , "fortran_order" : False , "shape" : ( 2 , ) , }   \n'],
    ["Python 2's long integers", "{'descr': '|u1', 'fortran_order': False, 'shape': (2L,), }\n"],
    ['an order where there is none', "{'descr': '<u1', 'fortran_order': False, 'shape': (2,), }\n"],
  ])('with %s is read', (_what, header) => {
    expect(readNpy(npy(header, Uint8Array.of(1, 2)), MAX)).toMatchObject({ ok: true, value: { dims: [2] } });
  });

  const good = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n";
  const two = Uint8Array.of(1, 2);
  it.each([
    ['not_npy', new Uint8Array()],
    ['not_npy', Uint8Array.from(Buffer.from('PK\u0003\u0004 and more'))],
    ['version_unsupported', npy(good, two, 4)],
    ['truncated', npy(good, two).slice(0, 9)],
    ['truncated', npy(good, two).slice(0, 30)],
    ['truncated', npy(good, Uint8Array.of(1))],
    ['trailing_bytes', npy(good, Uint8Array.of(1, 2, 3))],
    ['header_invalid', npy('', two)],
    ['header_invalid', npy("{'descr': '|u1', 'fortran_order': False}", two)],
    ['header_invalid', npy(good.replace('}', "'extra': True}"), two)],
    ['header_invalid', npy(good.replace("'shape'", "'descr'"), two)],
    ['header_invalid', npy(good.replace('False', 'False or exit()'), two)],
    ['header_invalid', npy(good.replace('(2,)', '(-2,)'), two)],
    ['header_invalid', npy(good.replace('(2,)', '2'), two)],
    ['header_invalid', npy(`${good}{}`, two)],
    ['header_invalid', npy('x'.repeat(70_000), two, 2)],
    ['dtype_unsupported', npy(good.replace('|u1', '<f3'), two)],
    ['dtype_unsupported', npy(good.replace('|u1', '=i2'), two)],
    ['dtype_unsupported', npy(good.replace('|u1', '<b1x'), two)],
    ['value_invalid', npy(good.replace('|u1', '|b1'), Uint8Array.of(1, 2))],
    ['too_large', npy(good.replace('(2,)', '(9007199254740991, 9007199254740991)'), two)],
    ['too_large', npy(good.replace('(2,)', `(${MAX + 1},)`), two)],
  ])('that must not be read is refused: tensor_file.%s (%#)', (code, file) => {
    expect(readNpy(file, MAX)).toMatchObject({ ok: false, error: { code: `tensor_file.${code}` } });
  });

  it('with no elements is empty however large its other dimensions are', () => {
    const header = good.replace('(2,)', '(9007199254740991, 0)');
    expect(readNpy(npy(header), MAX)).toMatchObject({ ok: true, value: { bytes: new Uint8Array() } });
  });

  it('cut off or garbled in 10,000 ways gives a tensor within the limit or a coded error', () => {
    const files = [...vectors.npy, ...vectors.npz].map(({ file }) => bytesOf(file));
    const garbled = fc
      .tuple(
        fc.constantFrom(...files),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.nat(),
        fc.boolean(),
      )
      .map(([file, changes, length, cut]) => {
        const copy = file.slice(0, cut ? length % (file.byteLength + 1) : undefined);
        for (const [at, byte] of changes) if (copy.byteLength > 0) copy[at % copy.byteLength] = byte;
        return copy;
      });
    const max = 1000;
    fc.assert(
      fc.property(garbled, (file) => {
        const one = readNpy(file, max);
        const many = readNpz(file, max);
        const tensors = [...(one.ok ? [one.value] : []), ...(many.ok ? Object.values(many.value) : [])];
        const codes = [...(one.ok ? [] : [one.error.code]), ...(many.ok ? [] : [many.error.code])];
        return (
          tensors.every(({ dtype, dims, bytes }) => {
            const size = elementCount(dims) * DTYPE_BYTES[dtype];
            return bytes.byteLength <= max && size === bytes.byteLength && bytes.buffer.byteLength <= max;
          }) && codes.every((code) => code.startsWith('tensor_file.'))
        );
      }),
      { numRuns: 10_000 },
    );
  });
});
