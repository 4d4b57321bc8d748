import { appError } from '../errors.ts';
import type { AppError } from '../errors.ts';
import { err } from '../result.ts';
import type { Result } from '../result.ts';

export type TensorFileErrorCode =
  | 'tensor_file.not_npy'
  | 'tensor_file.not_npz'
  | 'tensor_file.version_unsupported'
  | 'tensor_file.header_invalid'
  | 'tensor_file.dtype_unsupported'
  | 'tensor_file.value_invalid'
  | 'tensor_file.truncated'
  | 'tensor_file.trailing_bytes'
  | 'tensor_file.damaged'
  | 'tensor_file.zip_unsupported'
  | 'tensor_file.name_invalid'
  | 'tensor_file.too_large'
  | 'tensor_file.description_invalid'
  | 'tensor_file.input_missing'
  | 'tensor_file.input_unknown'
  | 'tensor_file.mismatch';

export type TensorFileError = AppError<TensorFileErrorCode>;
export type TensorFileResult<T> = Result<T, TensorFileError>;

export function refuse(
  code: TensorFileErrorCode,
  message: string,
  extra: Pick<AppError, 'remedy' | 'data'> = {},
): TensorFileResult<never> {
  return err(appError(code, message, extra));
}

export function tooLarge(bytes: number, maxBytes: number): TensorFileResult<never> {
  return refuse('tensor_file.too_large', `The tensors have ${bytes} bytes; at most ${maxBytes} are allowed.`, {
    remedy: 'Split the input into smaller files.',
    data: { bytes, maxBytes },
  });
}

/** Which tensor, what was expected, what came instead. */
export function mismatch(tensor: string, what: string, expected: string, got: string): TensorFileResult<never> {
  return refuse('tensor_file.mismatch', `Tensor "${tensor}" has ${what} ${got}, and ${expected} was expected.`, {
    data: { tensor, expected, got },
  });
}

/** "[1, 28, 28]", with "?" where a size is left open. */
export function dimsText(dims: readonly number[]): string {
  return `[${dims.map((dim) => (dim === -1 ? '?' : dim)).join(', ')}]`;
}
