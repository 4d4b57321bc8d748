import type { DType } from '../../model/tensor.ts';

/** onnx.proto, TensorProto.DataType: the element types that a shard may have. The rest (string, complex, bfloat16, float8, int4) have no entry. */
const DTYPE_OF_CODE: ReadonlyMap<number, DType> = new Map([
  [1, 'float32'],
  [2, 'uint8'],
  [3, 'int8'],
  [4, 'uint16'],
  [5, 'int16'],
  [6, 'int32'],
  [7, 'int64'],
  [9, 'bool'],
  [10, 'float16'],
  [11, 'float64'],
  [12, 'uint32'],
  [13, 'uint64'],
]);

const CODE_OF_DTYPE: ReadonlyMap<DType, number> = new Map([...DTYPE_OF_CODE].map(([code, dtype]) => [dtype, code]));

/** undefined for a type that no shard may use. */
export function dtypeOfCode(code: number): DType | undefined {
  return DTYPE_OF_CODE.get(code);
}

export function codeOfDType(dtype: DType): number {
  const code = CODE_OF_DTYPE.get(dtype);
  if (code === undefined) throw new Error(`no ONNX element type for ${dtype}`);
  return code;
}
