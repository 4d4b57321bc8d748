import { DTYPE_BYTES, elementCount } from '../model/tensor.ts';
import type { NamedTensors, Tensor } from '../model/tensor.ts';
import { ok } from '../result.ts';
import { dimsText, mismatch, refuse } from './errors.ts';
import type { TensorFileResult } from './errors.ts';

/** An input of a model; -1 where it leaves a size open. */
export interface InputSpec {
  readonly name: string;
  readonly dtype: string;
  readonly dims: readonly number[];
}

/**
 * Cuts inputs into shards along the first axis. An input is cut where the model's first dimension for it is 1 (one row
 * a shard) or open (`rowsPerShard` rows a shard, the last one with what is left); an input whose first dimension the
 * model fixes, and a scalar, goes to every shard as it is. Shards share the inputs' memory.
 *
 * Errors: tensor_file.input_missing, tensor_file.input_unknown, tensor_file.mismatch (with tensor, expected, got).
 */
export function splitBatch(
  inputs: NamedTensors,
  model: readonly InputSpec[],
  options: { readonly rowsPerShard?: number } = {},
): TensorFileResult<readonly NamedTensors[]> {
  const rowsPerShard = options.rowsPerShard ?? 1;
  if (!Number.isSafeInteger(rowsPerShard) || rowsPerShard < 1) throw new RangeError('a shard has at least one row');
  const checked = checkInputs(inputs, model);
  if (!checked.ok) return checked;
  const cut = model.filter((spec) => isCut(spec));
  if (cut.length === 0) return ok([inputs]);
  const rows = agreedRows(inputs, cut);
  if (!rows.ok) return rows;
  // One input that takes a row at a time holds all of them to it.
  const step = cut.some((spec) => spec.dims[0] === 1) ? 1 : rowsPerShard;
  const shards: NamedTensors[] = [];
  for (let first = 0; first < rows.value; first += step) {
    const count = Math.min(step, rows.value - first);
    shards.push(
      Object.fromEntries(
        model.map((spec) => {
          const tensor = tensorOf(inputs, spec.name);
          return [spec.name, isCut(spec) ? rowsOf(tensor, first, count) : tensor];
        }),
      ),
    );
  }
  return ok(shards);
}

function isCut(spec: InputSpec): boolean {
  return spec.dims[0] === 1 || spec.dims[0] === -1;
}

function tensorOf(tensors: NamedTensors, name: string): Tensor {
  const tensor = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
  if (tensor === undefined) throw new Error(`tensor ${name} was checked to be there`);
  return tensor;
}

function checkInputs(inputs: NamedTensors, model: readonly InputSpec[]): TensorFileResult<void> {
  const known = new Set(model.map((spec) => spec.name));
  const unknown = Object.keys(inputs).find((name) => !known.has(name));
  const expected = [...known].join(', ');
  if (unknown !== undefined) {
    return refuse('tensor_file.input_unknown', `The model has no input "${unknown}"; its inputs are ${expected}.`, {
      data: { tensor: unknown, expected },
    });
  }
  for (const spec of model) {
    if (!Object.hasOwn(inputs, spec.name)) {
      return refuse('tensor_file.input_missing', `The input "${spec.name}" is missing; the model needs ${expected}.`, {
        data: { tensor: spec.name, expected },
      });
    }
    const checked = checkTensor(tensorOf(inputs, spec.name), spec);
    if (!checked.ok) return checked;
  }
  return ok();
}

function checkTensor(tensor: Tensor, spec: InputSpec): TensorFileResult<void> {
  if (tensor.dtype !== spec.dtype) return mismatch(spec.name, 'the type', spec.dtype, tensor.dtype);
  // The axis that is cut may have any length.
  const expected = isCut(spec) ? [-1, ...spec.dims.slice(1)] : spec.dims;
  const fits =
    tensor.dims.length === expected.length && expected.every((dim, axis) => dim === -1 || dim === tensor.dims[axis]);
  if (!fits) return mismatch(spec.name, 'the shape', dimsText(expected), dimsText(tensor.dims));
  const bytes = elementCount(tensor.dims) * DTYPE_BYTES[tensor.dtype];
  return bytes === tensor.bytes.byteLength
    ? ok()
    : mismatch(spec.name, 'a length of', `${bytes} bytes`, `${tensor.bytes.byteLength} bytes`);
}

function agreedRows(inputs: NamedTensors, cut: readonly InputSpec[]): TensorFileResult<number> {
  const [first, ...others] = cut.map(({ name }) => ({ name, rows: tensorOf(inputs, name).dims[0] ?? 0 }));
  if (first === undefined) return ok(0);
  const odd = others.find(({ rows }) => rows !== first.rows);
  if (odd === undefined) return ok(first.rows);
  return mismatch(odd.name, 'a first dimension of', `${first.rows} (as "${first.name}" has)`, String(odd.rows));
}

function rowsOf(tensor: Tensor, first: number, count: number): Tensor {
  const [rows = 0, ...rest] = tensor.dims;
  const rowBytes = rows === 0 ? 0 : tensor.bytes.byteLength / rows;
  return {
    dtype: tensor.dtype,
    dims: [count, ...rest],
    bytes: tensor.bytes.subarray(first * rowBytes, (first + count) * rowBytes),
  };
}

/**
 * Puts the outputs of shards together again, one after the other along the first axis; a scalar counts as one row.
 * No shards make no tensors. Errors: tensor_file.input_missing, tensor_file.input_unknown (a shard has other outputs
 * than the first), tensor_file.mismatch (with tensor, expected, got).
 */
export function joinBatch(outputs: readonly NamedTensors[]): TensorFileResult<NamedTensors> {
  const [first] = outputs;
  if (first === undefined) return ok({});
  const joined: [string, Tensor][] = [];
  for (const [name, model] of Object.entries(first)) {
    const expected = [-1, ...model.dims.slice(1)];
    const spec: InputSpec = { name, dtype: model.dtype, dims: model.dims.length === 0 ? [] : expected };
    const parts: Tensor[] = [];
    for (const output of outputs) {
      const checked = checkInputs(pick(output, name, first), [spec]);
      if (!checked.ok) return checked;
      parts.push(tensorOf(output, name));
    }
    joined.push([name, concatenated(parts)]);
  }
  return ok(Object.fromEntries(joined));
}

/** The one output that is looked at, and any that the first shard does not have, which is then refused. */
function pick(output: NamedTensors, name: string, first: NamedTensors): NamedTensors {
  return Object.fromEntries(Object.entries(output).filter(([key]) => key === name || !Object.hasOwn(first, key)));
}

function concatenated(parts: readonly Tensor[]): Tensor {
  const [{ dtype, dims } = { dtype: 'uint8', dims: [] } as const] = parts;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.byteLength, 0));
  let offset = 0;
  let rows = 0;
  for (const part of parts) {
    bytes.set(part.bytes, offset);
    offset += part.bytes.byteLength;
    rows += part.dims[0] ?? 1;
  }
  return { dtype, dims: [rows, ...dims.slice(1)], bytes };
}
