import { DTYPE_BYTES } from '../model/tensor.ts';
import type { DType, Tensor } from '../model/tensor.ts';
import { LIMITS } from '../protocol/limits.ts';
import { ok } from '../result.ts';
import { refuse } from './errors.ts';
import type { TensorFileResult } from './errors.ts';
import { rowMajor, swapBytes, tensorSize } from './layout.ts';
import { parseHeader } from './npy-header.ts';

/**
 * NumPy's .npy format, versions 1.0 to 3.0: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
 * Any byte order and either array order are read, and become little-endian and row-major.
 */
const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);
/** Data begins at a multiple of this, for those who map the file into memory. */
const ALIGNMENT = 64;

/** Kind and size as NumPy writes them. */
const TYPE: Readonly<Record<DType, string>> = {
  float32: 'f4',
  float64: 'f8',
  float16: 'f2',
  int8: 'i1',
  uint8: 'u1',
  int16: 'i2',
  uint16: 'u2',
  int32: 'i4',
  uint32: 'u4',
  int64: 'i8',
  uint64: 'u8',
  bool: 'b1',
};
const DTYPE_OF = new Map<string, DType>(
  (Object.entries(TYPE) as [DType, string][]).map(([dtype, type]) => [type, dtype]),
);

/**
 * Reads one array. `maxBytes` bounds the tensor's bytes and so what is allocated. The result never shares memory
 * with the file. Errors: tensor_file.not_npy, version_unsupported, header_invalid, dtype_unsupported, value_invalid,
 * truncated, trailing_bytes, too_large.
 */
export function readNpy(file: Uint8Array, maxBytes: number): TensorFileResult<Tensor> {
  const start = dataStart(file);
  if (!start.ok) return start;
  const header = parseHeader(start.value.header);
  if (!header.ok) return header;
  const { descr, fortranOrder, shape } = header.value;
  const type = dtypeOf(descr);
  if (!type.ok) return type;
  const { dtype, bigEndian } = type.value;
  const size = tensorSize(dtype, shape, maxBytes);
  if (!size.ok) return size;
  const data = file.subarray(start.value.offset);
  if (data.byteLength < size.value) {
    return refuse(
      'tensor_file.truncated',
      `The .npy file ends after ${data.byteLength} of ${size.value} bytes of data.`,
      {
        remedy: 'Copy the file again.',
        data: { bytes: data.byteLength, expectedBytes: size.value },
      },
    );
  }
  if (data.byteLength > size.value) {
    return refuse('tensor_file.trailing_bytes', 'The .npy file goes on after its array; only one array can be read.', {
      remedy: 'Save several arrays with numpy.savez.',
    });
  }
  let bytes: Uint8Array = data.slice();
  const width = DTYPE_BYTES[dtype];
  if (bigEndian) swapBytes(bytes, width);
  if (fortranOrder && shape.length > 1) bytes = rowMajor(bytes, shape, width);
  if (dtype === 'bool' && bytes.some((value) => value > 1)) {
    return refuse('tensor_file.value_invalid', 'A boolean in the .npy file is neither 0 nor 1.');
  }
  return ok({ dtype, dims: shape, bytes });
}

function dataStart(file: Uint8Array): TensorFileResult<{ readonly header: string; readonly offset: number }> {
  if (file.byteLength < MAGIC.byteLength + 2 || MAGIC.some((byte, index) => file[index] !== byte)) {
    return refuse('tensor_file.not_npy', 'The file is not a NumPy .npy file.', {
      remedy: 'Save the array with numpy.save, or describe raw bytes as dtype:dims.',
    });
  }
  const major = file[6] ?? 0;
  const minor = file[7] ?? 0;
  if (major < 1 || major > 3 || minor !== 0) {
    return refuse(
      'tensor_file.version_unsupported',
      `The .npy file has version ${major}.${minor}; 1.0 to 3.0 are known.`,
    );
  }
  const lengthBytes = major === 1 ? 2 : 4;
  const offset = MAGIC.byteLength + 2 + lengthBytes;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const cutOff = (): TensorFileResult<never> =>
    refuse('tensor_file.truncated', 'The .npy file ends within its header.', { remedy: 'Copy the file again.' });
  if (file.byteLength < offset) return cutOff();
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > LIMITS.tensorFile.headerBytes) {
    return refuse(
      'tensor_file.header_invalid',
      `The header of the .npy file has ${length} bytes, which is far too long.`,
    );
  }
  if (file.byteLength < offset + length) return cutOff();
  // Latin-1 before version 3, UTF-8 since; whatever is not ASCII can only stand in names of fields.
  const header = Array.from(file.subarray(offset, offset + length), (byte) => String.fromCharCode(byte)).join('');
  return ok({ header, offset: offset + length });
}

function dtypeOf(descr: string | undefined): TensorFileResult<{ readonly dtype: DType; readonly bigEndian: boolean }> {
  const [, order, type] = /^([<>|=]?)(\w+)$/.exec(descr ?? '') ?? [];
  const dtype = DTYPE_OF.get(type ?? '');
  // "=" means the machine that wrote it, which nobody knows any more; "|" says that order does not matter.
  const ordered = dtype !== undefined && (DTYPE_BYTES[dtype] === 1 || order === '<' || order === '>');
  if (dtype !== undefined && ordered) return ok({ dtype, bigEndian: order === '>' });
  const shown = descr === undefined ? 'a structured type' : `type "${descr.replaceAll(/[^\u0020-\u007e]/g, '?')}"`;
  return refuse('tensor_file.dtype_unsupported', `The .npy file holds ${shown}, which tensors cannot have.`, {
    remedy: 'Convert the array first, for instance with array.astype("float32").',
  });
}

/** The array as a .npy file, version 1.0, as numpy.save writes it. */
export function writeNpy(tensor: Tensor): Uint8Array {
  const order = DTYPE_BYTES[tensor.dtype] === 1 ? '|' : '<';
  const { dims } = tensor;
  const shape = dims.length === 1 ? `(${dims[0]},)` : `(${dims.join(', ')})`;
  const text = `{'descr': '${order}${TYPE[tensor.dtype]}', 'fortran_order': False, 'shape': ${shape}, }`;
  const prefix = MAGIC.byteLength + 4;
  // Padded with spaces and ended by a newline, as the format asks for.
  const offset = Math.ceil((prefix + text.length + 1) / ALIGNMENT) * ALIGNMENT;
  const file = new Uint8Array(offset + tensor.bytes.byteLength);
  file.set(MAGIC);
  file[6] = 1;
  new DataView(file.buffer).setUint16(8, offset - prefix, true);
  const header = `${text.padEnd(offset - prefix - 1)}\n`;
  for (let index = 0; index < header.length; index += 1) file[prefix + index] = header.charCodeAt(index);
  file.set(tensor.bytes, offset);
  return file;
}
