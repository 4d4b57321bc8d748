import { DTYPE_BYTES, type DType } from '../../model/tensor.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { dtypeOfCode } from '../proto/element-types.ts';
import type { TensorProto, TypedField } from '../proto/types.ts';
import { WireReader, countVarints } from '../proto/wire.ts';
import { type Fact, checkDims, elements, valueFact } from '../shapes/fact.ts';
import { refuse } from './errors.ts';

/** onnx.proto, TensorProto: which typed field holds an element type when raw_data is not used. */
const FIELD_OF_DTYPE: Readonly<Record<DType, TypedField>> = {
  float32: 'float',
  float64: 'double',
  float16: 'int32',
  int8: 'int32',
  uint8: 'int32',
  int16: 'int32',
  uint16: 'int32',
  int32: 'int32',
  bool: 'int32',
  uint32: 'uint64',
  int64: 'int64',
  uint64: 'uint64',
};

export interface StoredTensor {
  readonly fact: Fact;
  readonly bytes: number;
}

/** A tensor of the file, held against its own dims; refuses one whose data are elsewhere, missing or too few. */
export function storedTensor(tensor: TensorProto): StoredTensor {
  const what = tensor.name === '' ? 'a constant' : `initializer ${tensor.name}`;
  if (tensor.external) {
    refuse('admission.external_data', `${what} keeps its data in another file, which a shard may not read`);
  }
  const dtype =
    dtypeOfCode(tensor.elementType) ??
    refuse('admission.unsupported_type', `${what} has an element type that shards do not have`, {
      type: tensor.elementType,
    });
  checkDims(tensor.dims, what, LIMITS.onnx.rank);
  const expected = elements(tensor.dims);
  const found = storedElements(tensor, dtype);
  if (found !== expected) {
    refuse(
      'admission.initializer_data',
      `${what} declares ${expected} elements and holds ${found ?? 'something else'}`,
      {
        declared: expected,
      },
    );
  }
  const values = expected <= LIMITS.onnx.constantElements ? smallValues(tensor, dtype, expected) : undefined;
  return { fact: valueFact(dtype, tensor.dims, values), bytes: expected * DTYPE_BYTES[dtype] };
}

/** Number of elements that are really there; undefined where the data make no whole number or stand in the wrong place. */
function storedElements(tensor: TensorProto, dtype: DType): number | undefined {
  const [typed, ...more] = tensor.typedData;
  if (tensor.rawData !== undefined) {
    return typed === undefined || tensor.rawData.length === 0
      ? whole(tensor.rawData.length, DTYPE_BYTES[dtype])
      : undefined;
  }
  if (typed === undefined) return 0;
  if (more.length > 0 || typed.field !== FIELD_OF_DTYPE[dtype]) return undefined;
  const width = { float: 4, double: 8, int32: 0, int64: 0, uint64: 0, string: 0 }[typed.field];
  let count = 0;
  for (const chunk of typed.chunks) {
    const part = width === 0 ? countVarints(chunk) : whole(chunk.length, width);
    if (part === undefined) return undefined;
    count += part;
  }
  return count;
}

function whole(bytes: number, width: number): number | undefined {
  return bytes % width === 0 ? bytes / width : undefined;
}

/** Elements of a small tensor as numbers, for the types in which shapes, axes, scales and flags are written. */
function smallValues(tensor: TensorProto, dtype: DType, count: number): number[] | undefined {
  const read = RAW_READERS[dtype];
  if (tensor.rawData !== undefined)
    return read === undefined ? undefined : fixed(tensor.rawData, DTYPE_BYTES[dtype], read);
  const values: number[] = [];
  for (const { field, chunks } of tensor.typedData) {
    for (const chunk of chunks) {
      if (field === 'float') values.push(...fixed(chunk, 4, (view, at) => view.getFloat32(at, true)));
      else if (field === 'double') values.push(...fixed(chunk, 8, (view, at) => view.getFloat64(at, true)));
      else values.push(...WireReader.packedInt64s(chunk, count));
    }
  }
  return values;
}

const RAW_READERS: Partial<Record<DType, (view: DataView, at: number) => number>> = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  int32: (view, at) => view.getInt32(at, true),
  int64: (view, at) => Number(view.getBigInt64(at, true)),
  int8: (view, at) => view.getInt8(at),
  uint8: (view, at) => view.getUint8(at),
  bool: (view, at) => view.getUint8(at),
};

function fixed(bytes: Uint8Array, width: number, read: (view: DataView, at: number) => number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / width }, (_, k) => read(view, k * width));
}
