import { DTYPES, DTYPE_BYTES } from '../model/tensor.ts';
import type { DType, Tensor } from '../model/tensor.ts';
import { LIMITS } from '../protocol/limits.ts';
import { ok } from '../result.ts';
import { dimsText, refuse } from './errors.ts';
import type { TensorFileResult } from './errors.ts';
import { tensorSize } from './layout.ts';

export interface RawDescription {
  readonly dtype: DType;
  /** One of them may be -1: as many as the bytes make. */
  readonly dims: readonly number[];
}

/** Reads "dtype:dims", for instance "float32:1,28,28", "uint8:-1x3" or "int64:" for a scalar. */
export function parseDescription(text: string): TensorFileResult<RawDescription> {
  const invalid = (detail: string): TensorFileResult<never> =>
    refuse('tensor_file.description_invalid', `This does not describe a raw tensor: ${detail}.`, {
      remedy: 'Write dtype:dims, for instance float32:1,28,28; one dimension may be -1.',
    });
  const [, name, list] = /^(\w{1,16}):([\dx,-]{0,200})$/.exec(text.trim()) ?? [];
  const dtype = DTYPES.find((known) => known === name);
  if (list === undefined) return invalid('it is not of the form dtype:dims');
  if (dtype === undefined) return invalid(`"${name}" is none of ${DTYPES.join(', ')}`);
  const parts = list === '' ? [] : list.split(/[x,]/);
  if (!parts.every((part) => /^(-1|\d{1,15})$/.test(part))) return invalid('a dimension is not a number');
  const dims = parts.map(Number);
  if (dims.length > LIMITS.tensorFile.rank) return invalid(`more than ${LIMITS.tensorFile.rank} dimensions`);
  if (dims.filter((dim) => dim === -1).length > 1) return invalid('more than one dimension is -1');
  return ok({ dtype, dims });
}

/** The tensor that little-endian, row-major bytes are; shares their memory. Errors: too_large, mismatch, truncated. */
export function readRaw(bytes: Uint8Array, description: RawDescription, maxBytes: number): TensorFileResult<Tensor> {
  const { dtype } = description;
  const open = description.dims.indexOf(-1);
  const known = description.dims.filter((dim) => dim !== -1);
  const size = tensorSize(dtype, known, maxBytes);
  if (!size.ok) return size;
  const count = open === -1 ? 1 : Math.floor(bytes.byteLength / Math.max(1, size.value));
  const dims = description.dims.map((dim) => (dim === -1 ? count : dim));
  const whole = tensorSize(dtype, dims, maxBytes);
  if (!whole.ok) return whole;
  if (whole.value !== bytes.byteLength) {
    const wanted = open === -1 ? `${whole.value} bytes` : `a multiple of ${size.value} bytes`;
    return refuse(
      'tensor_file.mismatch',
      `The raw tensor has ${bytes.byteLength} bytes; ${dtype} ${dimsText(description.dims)} takes ${wanted}.`,
      {
        data: { expectedBytes: whole.value, bytes: bytes.byteLength, elementBytes: DTYPE_BYTES[dtype] },
      },
    );
  }
  return ok({ dtype, dims, bytes });
}
