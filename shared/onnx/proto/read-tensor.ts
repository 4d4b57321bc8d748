import { refuse } from '../admission/errors.ts';
import type { TensorProto, TypedData, TypedField } from './types.ts';
import type { WireReader } from './wire.ts';

/** A tensor's typed data come in few packed runs; thousands of single elements would cost far more memory than file. */
const MAX_CHUNKS = 1024;

const TYPED_FIELDS: ReadonlyMap<number, TypedField> = new Map([
  [4, 'float'],
  [5, 'int32'],
  [6, 'string'],
  [7, 'int64'],
  [10, 'double'],
  [11, 'uint64'],
]);

/** onnx.proto, message TensorProto. */
export function readTensor(reader: WireReader): TensorProto {
  const dims: number[] = [];
  const typed = new Map<TypedField, Uint8Array[]>();
  let name = '';
  let elementType = 0;
  let rawData: Uint8Array | undefined;
  let external = false;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    const typedField = TYPED_FIELDS.get(field);
    if (typedField !== undefined) {
      const chunks = typed.get(typedField) ?? [];
      chunks.push(reader.scalars());
      if (chunks.length > MAX_CHUNKS) refuse('admission.too_complex', 'a tensor is stored in too many pieces');
      typed.set(typedField, chunks);
    } else if (field === 1) reader.int64s(dims);
    else if (field === 2) elementType = reader.int32();
    else if (field === 8) name = reader.name();
    else if (field === 9) rawData = reader.bytes();
    else if (field === 13) {
      reader.skip();
      external = true;
    } else if (field === 14) external = reader.int32() !== 0 || external;
    else reader.skip();
  }
  const typedData = [...typed].map(([field, chunks]): TypedData => ({ field, chunks }));
  return { name, dims, elementType, rawData, typedData, external };
}
