import type { DType } from '#shared/model/tensor.ts';
import { codeOfDType } from '#shared/onnx/proto/element-types.ts';
import type { Attribute, DimProto, Graph, Model, Node, TensorProto, ValueInfo } from '#shared/onnx/proto/types.ts';
import { encodeModel } from '#shared/onnx/proto/write-model.ts';

/** Short words for hand-made models: graphs that no builder would let through. */

export function valueInfo(name: string, dims: readonly DimProto[] | undefined, dtype: DType = 'float32'): ValueInfo {
  return { name, tensor: { elementType: codeOfDType(dtype), dims } };
}

export function node(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Attribute[] = [],
  domain = '',
): Node {
  return { name: '', opType, domain, inputs, outputs, attributes };
}

export const int = (name: string, value: number): Attribute => ({ name, type: 'int', value });
export const ints = (name: string, ...value: readonly number[]): Attribute => ({ name, type: 'ints', value });
export const text = (name: string, value: string): Attribute => ({ name, type: 'string', value: Buffer.from(value) });
export const tensorAttribute = (name: string, value: TensorProto): Attribute => ({ name, type: 'tensor', value });
export const graphAttribute = (name: string, ...value: readonly Uint8Array[]): Attribute => ({
  name,
  type: 'graphs',
  value,
});

export function rawTensor(name: string, dtype: DType, dims: readonly number[], data: ArrayBufferView): TensorProto {
  return {
    name,
    dims,
    elementType: codeOfDType(dtype),
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    typedData: [],
    external: false,
  };
}

export function int64s(
  name: string,
  values: readonly (number | bigint)[],
  dims: readonly number[] = [values.length],
): TensorProto {
  return rawTensor(name, 'int64', dims, BigInt64Array.from(values, BigInt));
}

export function float32s(
  name: string,
  values: readonly number[],
  dims: readonly number[] = [values.length],
): TensorProto {
  return rawTensor(name, 'float32', dims, Float32Array.from(values));
}

export type GraphParts = Partial<Graph> & Pick<Graph, 'nodes' | 'outputs'>;

export function graph(parts: GraphParts): Graph {
  return { name: 'g', initializers: [], inputs: [], valueInfos: [], sparseInitializerCount: 0, ...parts };
}

export function model(parts: GraphParts, extra: Partial<Model> = {}): Uint8Array {
  return encodeModel({
    irVersion: 8,
    producerName: 'test',
    opsetImports: [{ domain: '', version: 17 }],
    functions: [],
    trainingInfo: [],
    graph: graph(parts),
    ...extra,
  });
}

/** A model that is well: x [n, 4] -> MatMul, Add, Relu -> y [n, 3]. */
export function goodModel(): Uint8Array {
  return model({
    nodes: [
      node('MatMul', ['x', 'w'], ['xw']),
      node('Add', ['xw', 'b'], ['sum']),
      node('Relu', ['sum'], ['positive']),
      node('Reshape', ['positive', 'shape'], ['y']),
    ],
    initializers: [
      float32s(
        'w',
        Array.from({ length: 12 }, (_, k) => k / 10),
        [4, 3],
      ),
      float32s('b', [0, 1, 2]),
      int64s('shape', [-1, 3]),
    ],
    inputs: [valueInfo('x', ['n', 4])],
    outputs: [valueInfo('y', ['n', 3])],
  });
}
