import { describe, expect, it } from 'vitest';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { joinBatch, splitBatch } from '#shared/tensor-files/batch.ts';
import type { InputSpec } from '#shared/tensor-files/batch.ts';
import { f32, float32Values, i32 } from '#support/tensors.ts';

const image: InputSpec = { name: 'image', dtype: 'float32', dims: [1, 2] };
const open: InputSpec = { name: 'rows', dtype: 'float32', dims: [-1, 2] };
const scale: InputSpec = { name: 'scale', dtype: 'float32', dims: [] };
const table: InputSpec = { name: 'table', dtype: 'int32', dims: [3] };

function shards(result: ReturnType<typeof splitBatch>): readonly NamedTensors[] {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

describe('a batch', () => {
  it('is cut into single rows for a model that takes one', () => {
    const cut = shards(splitBatch({ image: f32([1, 2, 3, 4, 5, 6], [3, 2]) }, [image]));
    expect(cut.map((shard) => shard['image']?.dims)).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    expect(cut.map((shard) => float32Values(shard['image']))).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
  });

  it('is cut into as many rows as wanted for a model that leaves them open, the last shard with the rest', () => {
    const cut = shards(splitBatch({ rows: f32([1, 2, 3, 4, 5, 6], [3, 2]) }, [open], { rowsPerShard: 2 }));
    expect(cut.map((shard) => float32Values(shard['rows']))).toEqual([
      [1, 2, 3, 4],
      [5, 6],
    ]);
    expect(cut.map((shard) => shard['rows']?.dims[0])).toEqual([2, 1]);
  });

  it('is cut row by row when any of its inputs takes one at a time', () => {
    const inputs = { image: f32([1, 2, 3, 4], [2, 2]), rows: f32([5, 6, 7, 8], [2, 2]) };
    expect(shards(splitBatch(inputs, [image, open], { rowsPerShard: 2 })).length).toBe(2);
  });

  it('gives every shard whole what the model wants whole', () => {
    const inputs = { image: f32([1, 2, 3, 4], [2, 2]), scale: f32([9], []), table: i32([1, 2, 3]) };
    const cut = shards(splitBatch(inputs, [image, scale, table]));
    expect(cut.length).toBe(2);
    for (const shard of cut) {
      expect(shard['scale']).toBe(inputs.scale);
      expect(shard['table']).toBe(inputs.table);
    }
    expect(shards(splitBatch({ table: inputs.table }, [table]))).toEqual([{ table: inputs.table }]);
  });

  it('without rows has no shards', () => {
    expect(shards(splitBatch({ image: f32([], [0, 2]) }, [image]))).toEqual([]);
  });

  it.each([
    ['the type', { image: i32([1, 2], [1, 2]) }, [image], 'image', 'float32', 'int32'],
    ['the shape', { image: f32([1, 2, 3], [1, 3]) }, [image], 'image', '[?, 2]', '[1, 3]'],
    ['the rank', { image: f32([1, 2]) }, [image], 'image', '[?, 2]', '[2]'],
    ['a fixed shape', { table: i32([1, 2]) }, [table], 'table', '[3]', '[2]'],
    ['the bytes', { image: { ...f32([1, 2]), dims: [2, 2] } }, [image], 'image', '16 bytes', '8 bytes'],
    [
      'the number of rows',
      { image: f32([1, 2], [1, 2]), rows: f32([1, 2, 3, 4], [2, 2]) },
      [image, open],
      'rows',
      '1 (as "image" has)',
      '2',
    ],
  ] as const)('that differs from the model in %s is refused by name', (_what, inputs, model, tensor, expected, got) => {
    expect(splitBatch(inputs, model)).toMatchObject({
      ok: false,
      error: { code: 'tensor_file.mismatch', data: { tensor, expected, got } },
    });
  });

  it('with an input too many or too few is refused by name', () => {
    expect(splitBatch({}, [image])).toMatchObject({
      error: { code: 'tensor_file.input_missing', data: { tensor: 'image' } },
    });
    expect(splitBatch({ image: f32([1, 2], [1, 2]), x: f32([1]) }, [image])).toMatchObject({
      error: { code: 'tensor_file.input_unknown', data: { tensor: 'x' } },
    });
    expect(splitBatch({}, [{ ...image, name: 'constructor' }])).toMatchObject({
      error: { code: 'tensor_file.input_missing' },
    });
    expect(() => splitBatch({}, [], { rowsPerShard: 0 })).toThrow(RangeError);
  });
});

describe('outputs of shards', () => {
  it('are put together in order, whatever their numbers of rows', () => {
    const joined = joinBatch([
      { y: f32([1, 2, 3, 4], [2, 2]), n: i32([7], []) },
      { y: f32([5, 6], [1, 2]), n: i32([8], []) },
    ]);
    expect(joined).toEqual({ ok: true, value: { y: f32([1, 2, 3, 4, 5, 6], [3, 2]), n: i32([7, 8]) } });
    expect(joinBatch([])).toEqual({ ok: true, value: {} });
  });

  it('undo the cutting of a batch', () => {
    const inputs = { rows: f32([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [5, 2]) };
    for (const rowsPerShard of [1, 2, 3, 5, 9]) {
      expect(joinBatch(shards(splitBatch(inputs, [open], { rowsPerShard })))).toEqual({ ok: true, value: inputs });
    }
  });

  it('that do not fit together are refused by name', () => {
    const y = f32([1, 2], [1, 2]);
    expect(joinBatch([{ y }, { y: f32([1, 2, 3], [1, 3]) }])).toMatchObject({
      error: { code: 'tensor_file.mismatch', data: { tensor: 'y', expected: '[?, 2]', got: '[1, 3]' } },
    });
    expect(joinBatch([{ y }, { y: i32([1, 2], [1, 2]) }])).toMatchObject({
      error: { code: 'tensor_file.mismatch', data: { tensor: 'y', expected: 'float32', got: 'int32' } },
    });
    expect(joinBatch([{ y }, {}])).toMatchObject({ error: { code: 'tensor_file.input_missing' } });
    expect(joinBatch([{ y }, { y, z: y }])).toMatchObject({ error: { code: 'tensor_file.input_unknown' } });
  });
});
