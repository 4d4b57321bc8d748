import { readFileSync } from 'node:fs';
import path from 'node:path';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { writeNpy } from '#shared/tensor-files/npy.ts';
import { readNpz, writeNpz } from '#shared/tensor-files/npz.ts';
import { f32, i64 } from '#support/tensors.ts';

const MAX = 1 << 20;
const vectors = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../vectors/tensor-files.json'), 'utf8')) as {
  readonly npz: readonly { readonly name: string; readonly file: string }[];
};

const one = f32([1, 2, 3, 4], [2, 2]);
const npyOf = writeNpy(one);

function written(tensors: NamedTensors, compress?: boolean): Uint8Array {
  const file = writeNpz(tensors, compress === undefined ? {} : { compress });
  if (!file.ok) throw new Error(file.error.message);
  return file.value;
}

/** Writes a number into a file at the first place where these four bytes stand, plus an offset. */
function patched(file: Uint8Array, signature: number, offset: number, value: number, bytes: 2 | 4): Uint8Array {
  const copy = Buffer.from(file);
  for (let at = 0; at + 4 <= copy.length; at += 1) {
    if (copy.readUInt32LE(at) !== signature) continue;
    if (bytes === 2) copy.writeUInt16LE(value, at + offset);
    else copy.writeUInt32LE(value, at + offset);
    return Uint8Array.from(copy);
  }
  throw new Error('no such record');
}
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END = 0x06054b50;

describe('a .npz archive', () => {
  it.each(vectors.npz.map(({ name, file }) => [name, file] as const))('of numpy.%s is read', (_name, file) => {
    const read = readNpz(Uint8Array.from(Buffer.from(file, 'base64')), MAX);
    expect(read).toEqual({
      ok: true,
      value: {
        x: f32([0, 1, 2, 3], [2, 2]),
        Plus214_Output_0: i64([1n, 2n, 3n]),
        'größe/0': { dtype: 'uint8', dims: [200], bytes: new Uint8Array(200) },
      },
    });
  });

  it('comes back as it was written, stored or deflated, and is the same file each time', () => {
    const tensors = { a: f32([1, 2, 3]), 'b/c:0': i64([], [0, 7]), ['__proto__']: f32([5], []) };
    for (const compress of [true, false]) {
      const file = written(tensors, compress);
      expect(readNpz(file, MAX)).toEqual({ ok: true, value: tensors });
      expect(Buffer.compare(written(tensors, compress), file)).toBe(0);
    }
    const zeros = { z: f32(Array.from({ length: 10_000 }, () => 0)) };
    expect(written(zeros).byteLength).toBeLessThan(1000);
    expect(written(zeros, false).byteLength).toBeGreaterThan(40_000);
    expect(readNpz(written({}), MAX)).toEqual({ ok: true, value: {} });
  });

  it('cannot be written with names that an archive or a screen cannot hold', () => {
    for (const name of ['', 'x'.repeat(300), 'a\nb', '\ud800']) {
      expect(writeNpz({ [name]: one })).toMatchObject({ ok: false, error: { code: 'tensor_file.name_invalid' } });
    }
  });

  it('that unpacks to more than allowed is refused before it is unpacked', () => {
    const bomb = zipSync({ 'a.npy': new Uint8Array(32 << 20), 'b.npy': npyOf }, { level: 9 });
    expect(bomb.byteLength).toBeLessThan(100_000);
    expect(readNpz(bomb, 32 << 20)).toMatchObject({ ok: false, error: { code: 'tensor_file.too_large' } });
  });

  it('that unpacks to more than it says is refused after a step, not after all of it', () => {
    const honest = zipSync({ 'a.npy': new Uint8Array(64 << 20) }, { level: 9 });
    const liar = patched(honest, CENTRAL, 24, 1000, 4);
    const milliseconds = (file: Uint8Array, code: string): number => {
      const started = performance.now();
      expect(readNpz(file, 64 << 20)).toMatchObject({ ok: false, error: { code } });
      return performance.now() - started;
    };
    // All of it is unpacked, and then is no array.
    const whole = milliseconds(honest, 'tensor_file.not_npy');
    expect(milliseconds(liar, 'tensor_file.damaged')).toBeLessThan(whole / 4);
  });

  const good = zipSync({ 'a.npy': [npyOf, { level: 0 }], 'b.npy': [npyOf, { level: 6 }] });
  it.each([
    ['not_npz', new Uint8Array()],
    ['not_npz', npyOf],
    ['not_npz', good.slice(0, -1)],
    ['damaged', patched(good, LOCAL, 0, 0, 4)],
    ['damaged', patched(good, CENTRAL, 0, 0, 4)],
    ['damaged', patched(good, CENTRAL, 16, 12_345, 4)],
    ['damaged', patched(good, CENTRAL, 24, npyOf.byteLength - 1, 4)],
    ['damaged', patched(good, CENTRAL, 28, 60_000, 2)],
    ['damaged', patched(good, CENTRAL, 42, 0xfffffff0, 4)],
    ['damaged', patched(good, CENTRAL, 20, 0xfffffff0, 4)],
    ['zip_unsupported', patched(good, CENTRAL, 8, 1, 2)],
    ['zip_unsupported', patched(good, CENTRAL, 10, 12, 2)],
    ['zip_unsupported', patched(good, END, 10, 0xffff, 2)],
    ['too_large', patched(good, END, 10, LIMITS.tensorFile.entries + 1, 2)],
    ['too_large', patched(good, CENTRAL, 24, 0xfffffff0, 4)],
    ['name_invalid', zipSync({ 'notes.txt': npyOf })],
    ['name_invalid', zipSync({ '.npy': npyOf })],
    ['name_invalid', zipSync({ 'a\u0007.npy': npyOf })],
    ['name_invalid', patched(good, CENTRAL, 46, 0x80, 2)],
    ['not_npy', zipSync({ 'a.npy': Uint8Array.of(1, 2, 3) })],
  ])('that must not be read is refused: tensor_file.%s (%#)', (code, file) => {
    expect(readNpz(file, MAX)).toMatchObject({ ok: false, error: { code: `tensor_file.${code}` } });
  });

  it('with two entries of one name is refused', () => {
    // The second entry's name, "b.npy", becomes "a.npy" in the list.
    const list = Buffer.from(good);
    const at = list.lastIndexOf('b.npy');
    list[at] = 'a'.charCodeAt(0);
    expect(readNpz(Uint8Array.from(list), MAX)).toMatchObject({ error: { code: 'tensor_file.name_invalid' } });
  });

  it('says which of its tensors cannot be read', () => {
    const broken = zipSync({ 'a.npy': npyOf, 'b.npy': npyOf.slice(0, -1) });
    expect(readNpz(broken, MAX)).toMatchObject({ error: { code: 'tensor_file.truncated', data: { tensor: 'b' } } });
  });
});
