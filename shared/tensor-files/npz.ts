import { zipSync } from 'fflate';
import type { NamedTensors, Tensor } from '../model/tensor.ts';
import { LIMITS } from '../protocol/limits.ts';
import { ok } from '../result.ts';
import { refuse } from './errors.ts';
import type { TensorFileResult } from './errors.ts';
import { readNpy, writeNpy } from './npy.ts';
import { readZip } from './zip.ts';

const SUFFIX = '.npy';
/** The earliest that ZIP can say: the same tensors always give the same file. */
const NO_DATE = '1980-01-01T00:00:00';

/**
 * Reads an archive of numpy.savez or numpy.savez_compressed. `maxBytes` bounds what its entries unpack to, headers
 * included, all together. Errors: tensor_file.not_npz, damaged, zip_unsupported, name_invalid, too_large and those of
 * `readNpy`, with the tensor's name in `data`.
 */
export function readNpz(file: Uint8Array, maxBytes: number): TensorFileResult<NamedTensors> {
  const entries = readZip(file, maxBytes);
  if (!entries.ok) return entries;
  const tensors = new Map<string, Tensor>();
  for (const entry of entries.value) {
    const name = entry.name.endsWith(SUFFIX) ? entry.name.slice(0, -SUFFIX.length) : '';
    if (name === '' || tensors.has(name)) {
      return refuse(
        'tensor_file.name_invalid',
        `The archive's entry "${entry.name}" is no array, or there are two of it.`,
        {
          remedy: 'Save the arrays with numpy.savez.',
          data: { entry: entry.name },
        },
      );
    }
    const tensor = readNpy(entry.bytes, maxBytes);
    if (!tensor.ok) {
      const { error } = tensor;
      return {
        ok: false,
        error: { ...error, message: `"${name}": ${error.message}`, data: { ...error.data, tensor: name } },
      };
    }
    tensors.set(name, tensor.value);
  }
  return ok(Object.fromEntries(tensors));
}

/**
 * Writes what numpy.load reads. The caller's names are tensor names, at most LIMITS.tensorFile.nameBytes long. Deflated
 * unless `compress` is false. Errors: tensor_file.name_invalid.
 */
export function writeNpz(
  tensors: NamedTensors,
  options: { readonly compress?: boolean } = {},
): TensorFileResult<Uint8Array> {
  const level = options.compress === false ? 0 : 6;
  const entries = Object.entries(tensors);
  const unfit = entries.find(([name]) => !isName(name));
  if (unfit !== undefined) {
    return refuse('tensor_file.name_invalid', 'A tensor has a name that an archive cannot hold.', {
      data: { tensor: unfit[0].slice(0, LIMITS.tensorFile.nameBytes) },
    });
  }
  const files = Object.fromEntries(entries.map(([name, tensor]) => [`${name}${SUFFIX}`, writeNpy(tensor)]));
  return ok(zipSync(files, { level, mtime: NO_DATE }));
}

function isName(name: string): boolean {
  // Three bytes of UTF-8 for a UTF-16 unit at most.
  return name !== '' && name.length * 3 + SUFFIX.length <= LIMITS.tensorFile.nameBytes && !/\p{Cc}|\p{Cs}/u.test(name);
}
