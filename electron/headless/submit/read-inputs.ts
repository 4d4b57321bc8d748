import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { appError, type AppError } from '#shared/errors.ts';
import type { NamedTensors, Tensor } from '#shared/model/tensor.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { readNpy } from '#shared/tensor-files/npy.ts';
import { readNpz } from '#shared/tensor-files/npz.ts';
import { parseDescription, readRaw } from '#shared/tensor-files/raw.ts';
import { GiB } from '#shared/units.ts';

export type InputError = AppError;

/** All inputs of a job together. */
const MAX_INPUT_BYTES = 2 * GiB;

/**
 * The tensors that --input names: a .npz with every input by name; NAME=FILE.npy, or FILE.npy alone for a model with one
 * input; raw bytes as NAME=FILE:dtype:dims. Later ones add to earlier ones; the same name twice is refused.
 */
export async function readInputs(
  specs: readonly string[],
  modelInputs: readonly { readonly name: string }[],
): Promise<Result<NamedTensors, InputError>> {
  const tensors = new Map<string, Tensor>();
  for (const spec of specs) {
    const read = await readOne(spec, modelInputs);
    if (!read.ok) return read;
    for (const [name, tensor] of Object.entries(read.value)) {
      if (tensors.has(name)) {
        return err(
          appError('submit.input_twice', `Input "${name}" is given twice.`, {
            remedy: 'Give each input once.',
            data: { name },
          }),
        );
      }
      tensors.set(name, tensor);
    }
  }
  return ok(Object.fromEntries(tensors));
}

async function readOne(
  spec: string,
  modelInputs: readonly { readonly name: string }[],
): Promise<Result<NamedTensors, InputError>> {
  const equals = spec.indexOf('=');
  const named = equals > 0 && !spec.slice(0, equals).includes(path.sep);
  const name = named ? spec.slice(0, equals) : undefined;
  const rest = named ? spec.slice(equals + 1) : spec;
  if (rest.endsWith('.npz')) {
    const bytes = await fileBytes(rest);
    return bytes.ok ? readNpz(bytes.value, MAX_INPUT_BYTES) : bytes;
  }
  const target = name ?? (modelInputs.length === 1 ? modelInputs[0]?.name : undefined);
  if (target === undefined) {
    return err(
      appError('submit.input_unnamed', `The model has ${modelInputs.length} inputs, so "${spec}" needs a name.`, {
        remedy: `Write NAME=${spec}, where NAME is one of: ${modelInputs.map((input) => input.name).join(', ')}.`,
      }),
    );
  }
  const tensor = rest.endsWith('.npy') ? await fromNpy(rest) : await fromRaw(rest);
  return tensor.ok ? ok({ [target]: tensor.value }) : tensor;
}

async function fromNpy(file: string): Promise<Result<Tensor, InputError>> {
  const bytes = await fileBytes(file);
  return bytes.ok ? readNpy(bytes.value, MAX_INPUT_BYTES) : bytes;
}

/** FILE:dtype:dims; the file's own name may contain colons. */
async function fromRaw(spec: string): Promise<Result<Tensor, InputError>> {
  const [, file, description] = /^(.+):(\w+:[^:]*)$/.exec(spec) ?? [];
  if (file === undefined || description === undefined) {
    return err(
      appError('submit.input_unclear', `It is not clear what "${spec}" is.`, {
        remedy:
          'Give a .npz, a .npy, or raw bytes as NAME=FILE:dtype:dims, for instance x=pixels.bin:float32:-1x1x28x28',
      }),
    );
  }
  const described = parseDescription(description);
  if (!described.ok) return described;
  const bytes = await fileBytes(file);
  return bytes.ok ? readRaw(bytes.value, described.value, MAX_INPUT_BYTES) : bytes;
}

/** A file's bytes; the error says which file and why. */
export async function fileBytes(file: string): Promise<Result<Uint8Array, InputError>> {
  try {
    const { size } = await stat(file);
    if (size > MAX_INPUT_BYTES) {
      return err(
        appError('submit.file_too_large', `${file} has ${size} bytes; at most ${MAX_INPUT_BYTES} are taken at once.`, {
          remedy: 'Split it.',
          data: { file, size },
        }),
      );
    }
    // A plain array, not a Buffer: a Buffer's slice() shares memory where everybody else's copies.
    return ok(new Uint8Array(await readFile(file)));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return err(
      appError('submit.file_unreadable', `${file} could not be read (${code}).`, {
        remedy: 'Check its path and rights.',
        data: { file },
      }),
    );
  }
}
