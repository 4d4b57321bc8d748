import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { model, valueInfo } from '#support/onnx-models.ts';
import type { DType } from '#shared/model/tensor.ts';
import { admitModel } from '#shared/onnx/admission.ts';
import { RULES } from '#shared/onnx/shapes/registry.ts';
import { INPUTS, cases } from './shape-cases.ts';

function feeds(dims: readonly number[], dtype: DType): Tensor {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const values = Array.from({ length: count }, (_, k) => (k * 7) % 4);
  if (dtype === 'int64') return new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
  if (dtype === 'uint8') return new Tensor('uint8', Uint8Array.from(values), dims);
  if (dtype === 'bool')
    return new Tensor(
      'bool',
      Uint8Array.from(values, (value) => value % 2),
      dims,
    );
  return new Tensor(
    'float32',
    Float32Array.from(values, (value) => value / 5 + 0.1),
    dims,
  );
}

describe('what admission says of a graph’s outputs, the runtime makes', () => {
  it.each(cases.map((one) => [one.name, one] as const))('%s', async (_, { nodes, weights = [], opset = 17 }) => {
    const read = new Set(nodes.flatMap(({ inputs }) => inputs));
    const inputs = Object.entries(INPUTS).filter(([name]) => read.has(name));
    const outputs = nodes.at(-1)?.outputs ?? [];
    const plain = {
      nodes,
      initializers: weights,
      inputs: inputs.map(([name, { dims, dtype }]) => valueInfo(name, dims, dtype)),
      outputs: outputs.map((name) => ({ name, tensor: undefined })),
    };
    const imports = { opsetImports: [{ domain: '', version: opset }] };
    const admitted = admitModel(model(plain, imports));
    if (!admitted.ok) throw new Error(`${admitted.error.code}: ${admitted.error.message}`);

    const session = await InferenceSession.create(model(plain, imports), {
      executionProviders: ['cpu'],
      logSeverityLevel: 4,
    });
    const results = await session.run(
      Object.fromEntries(inputs.map(([name, { dims, dtype }]) => [name, feeds(dims, dtype)])),
    );
    await session.release();
    const made = outputs.map((name) => ({ name, dtype: results[name]!.type, dims: [...results[name]!.dims] }));
    expect(admitted.value.outputs).toEqual(made);
  });

  it('is held for every operator on the allow-list', () => {
    const shown = new Set(cases.flatMap(({ nodes }) => nodes.map(({ opType }) => opType)));
    expect([...RULES.keys()].filter((opType) => !shown.has(opType))).toEqual([]);
  });
});
