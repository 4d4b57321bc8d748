import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Tensor } from '#shared/model/tensor.ts';

/** Where real inputs lie that the project must not contain; tests that need them are skipped where they are not. */
export const SHARED_DATA = path.resolve(import.meta.dirname, '../../../shared/data');

const IMAGES = path.join(SHARED_DATA, 'mnist/t10k-images-idx3-ubyte.gz');
const LABELS = path.join(SHARED_DATA, 'mnist/t10k-labels-idx1-ubyte.gz');
export const MNIST_MODEL = path.join(SHARED_DATA, 'models/mnist.onnx');

export const hasMnist = [IMAGES, LABELS, MNIST_MODEL].every((file) => existsSync(file));

/** The 10,000 test digits as the model wants them, float32 [10000, 1, 28, 28] from 0 to 255, and what they show. */
export function mnistTestSet(): { readonly images: Tensor; readonly labels: Uint8Array } {
  const images = idx(IMAGES, 0x0803);
  const [count = 0, rows = 0, columns = 0] = images.dims;
  const floats = Float32Array.from(images.bytes);
  return {
    images: { dtype: 'float32', dims: [count, 1, rows, columns], bytes: new Uint8Array(floats.buffer) },
    labels: idx(LABELS, 0x0801).bytes,
  };
}

/** LeCun's IDX: a magic number that ends in the number of dimensions, the dimensions, the bytes; big-endian. */
function idx(file: string, magic: number): { readonly dims: readonly number[]; readonly bytes: Uint8Array } {
  const raw = gunzipSync(readFileSync(file));
  if (raw.readUInt32BE(0) !== magic) throw new Error(`${file} is no IDX file of this kind`);
  const rank = magic & 0xff;
  const dims = Array.from({ length: rank }, (_, axis) => raw.readUInt32BE(4 + axis * 4));
  return { dims, bytes: Uint8Array.from(raw.subarray(4 + rank * 4)) };
}
