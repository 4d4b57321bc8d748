import { createHash } from 'node:crypto';
import path from 'node:path';
import { executorFromSources } from '#core/compute/executor-files.ts';
import type { ModelInfo, ModelSource } from '#core/compute/port.ts';
import { encodeGraph } from '#shared/onnx/proto/write-model.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { sha256Hex } from '#shared/units.ts';
import { graph, graphAttribute, int, int64s, model, node, rawTensor, valueInfo } from './onnx-models.ts';
import { f32 } from './tensors.ts';

export const repositoryRoot = path.resolve(import.meta.dirname, '../..');
export const executorFiles = executorFromSources(repositoryRoot);

export function sourceOf(bytes: Uint8Array): ModelSource {
  return { digest: sha256Hex(createHash('sha256').update(bytes).digest('hex')), read: async () => bytes };
}

/** y = x + x, x of any length. */
export function doublingModel(): Uint8Array {
  return model({
    nodes: [node('Add', ['x', 'x'], ['y'])],
    inputs: [valueInfo('x', ['n'])],
    outputs: [valueInfo('y', ['n'])],
  });
}

/** x of [n, n] multiplied with itself `products` times: no time for n = 1, seconds for `heavyInput`. */
export function workModel(products = 400): Uint8Array {
  const names = Array.from({ length: products }, (_, k) => `p${k}`);
  return model({
    nodes: [
      ...names.map((name, k) => node('MatMul', [k === 0 ? 'x' : `p${k - 1}`, 'x'], [name])),
      node('Identity', [`p${products - 1}`], ['y']),
    ],
    inputs: [valueInfo('x', ['n', 'n'])],
    outputs: [valueInfo('y', ['n', 'n'])],
  });
}

/** `workModel` whose output is one number per row: much in, little out, as most inference. */
export function scoringModel(products: number): Uint8Array {
  const names = Array.from({ length: products }, (_, k) => `p${k}`);
  return model({
    nodes: [
      ...names.map((name, k) => node('MatMul', [k === 0 ? 'x' : `p${k - 1}`, 'x'], [name])),
      node('ReduceSum', [`p${products - 1}`, 'axes'], ['y'], [int('keepdims', 0)]),
    ],
    initializers: [int64s('axes', [1])],
    inputs: [valueInfo('x', ['n', 'n'])],
    outputs: [valueInfo('y', ['n'])],
  });
}

export function lightInput(value = 1): NamedTensors {
  return { x: f32([value], [1, 1]) };
}

export function heavyInput(): NamedTensors {
  const side = 1000;
  return {
    x: f32(
      Array.from({ length: side * side }, () => 0),
      [side, side],
    ),
  };
}

/** A Loop that never ends. Admission refuses it; the runtime does not. */
export function endlessModel(): Uint8Array {
  const body = graph({
    nodes: [node('Identity', ['c'], ['co']), node('Neg', ['a'], ['ao'])],
    inputs: [valueInfo('i', [], 'int64'), valueInfo('c', [], 'bool'), valueInfo('a', [1])],
    outputs: [valueInfo('co', [], 'bool'), valueInfo('ao', [1])],
  });
  return model({
    nodes: [node('Loop', ['', 't', 'x'], ['y'], [graphAttribute('body', encodeGraph(body))])],
    initializers: [rawTensor('t', 'bool', [], Uint8Array.of(1))],
    inputs: [valueInfo('x', [1])],
    outputs: [valueInfo('y', [1])],
  });
}

/** Fills `gibibytes` while it runs, from one number. */
export function hungryModel(gibibytes: number): Uint8Array {
  const side = Math.ceil(Math.sqrt((gibibytes * 2 ** 30) / 4));
  return model({
    nodes: [node('Expand', ['x', 's'], ['big']), node('ReduceSum', ['big'], ['y'])],
    initializers: [int64s('s', [side, side])],
    inputs: [valueInfo('x', [1])],
    outputs: [valueInfo('y', [1, 1])],
  });
}

/** What admission would have said of a model with one float32 input x and one output y: for models that it refuses. */
export function infoOf(source: ModelSource, dims: readonly number[] = [1], outputDims = dims): ModelInfo {
  return {
    digest: source.digest,
    inputs: [{ name: 'x', dtype: 'float32', dims }],
    outputs: [{ name: 'y', dtype: 'float32', dims: outputDims }],
    peakBytes: 1024,
  };
}
