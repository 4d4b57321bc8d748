import { describe, expect, it } from 'vitest';
import { admitModel } from '#shared/onnx/admission.ts';
import { GraphBuilder } from '#shared/onnx/builder/graph-builder.ts';
import * as op from '#shared/onnx/builder/operators.ts';
import { readModel } from '#shared/onnx/proto/read-model.ts';
import { LIMITS } from '#shared/protocol/limits.ts';

function classifier(): Uint8Array {
  const graph = new GraphBuilder();
  const images = graph.input('images', 'float32', ['batch', 1, 8, 8]);
  const filters = graph.constant(new Float32Array(4 * 9), [4, 1, 3, 3], 'filters');
  const features = op.maxPool2d(op.relu(op.conv2d(images, filters, { padding: 1 })), 2);
  const weights = graph.constant(new Float32Array(64 * 10), [64, 10]);
  const logits = op.linear(op.flatten(features), weights, graph.constant(new Float32Array(10)));
  return graph.build({ logits, probabilities: op.softmax(logits) });
}

describe('the graph builder', () => {
  it('makes models that admission takes, with the batch left open', () => {
    const admitted = admitModel(classifier());
    expect(admitted).toMatchObject({
      ok: true,
      value: {
        inputs: [{ name: 'images', dtype: 'float32', dims: [-1, 1, 8, 8] }],
        outputs: [
          { name: 'logits', dims: [-1, 10] },
          { name: 'probabilities', dims: [-1, 10] },
        ],
      },
    });
  });

  it('makes the same bytes from the same calls', () => {
    expect(classifier()).toEqual(classifier());
  });

  it('knows each value’s type and sizes while building', () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', ['batch', 6, 4]);
    expect(op.transpose(x, [2, 0, 1]).dims).toEqual([4, 'batch', 6]);
    expect(op.reshape(x, [-1, 24]).dims).toEqual(['batch', 24]);
    expect(op.reshape(x, [-1, 4]).dims).toEqual(['', 4]);
    expect(op.slice(x, 1, 2, 5).dims).toEqual(['batch', 3, 4]);
    expect(op.reduceSum(x, [1, 2], false).dims).toEqual(['batch']);
    expect(op.concat([x, x], 1).dims).toEqual(['batch', 12, 4]);
    expect(op.equal(x, graph.scalar(1))).toMatchObject({ dtype: 'bool', dims: ['batch', 6, 4] });
    expect(op.cast(x, 'int32').dtype).toBe('int32');
  });

  it('throws at the node whose types or shapes do not fit, and says which they are', () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', ['batch', 4]);
    const w = graph.constant(new Float32Array(15), [5, 3]);
    expect(() => op.matmul(x, w)).toThrow('MatMul(float32[batch,4], float32[5,3])');
    expect(() => op.add(x, graph.int64s([1]))).toThrow('another type');
    expect(() => op.add(x, new GraphBuilder().scalar(1))).toThrow('another graph');
    expect(() => graph.apply('Loop', [x])).toThrow('not an operator');
    expect(() => graph.input('x', 'float32', [])).toThrow('already');
    expect(() => graph.constant(new Float32Array(3), [2, 2])).toThrow('do not fill');
    expect(() => graph.apply('Relu', [x], {}, 2)).toThrow('no output 1');
  });

  it('does not take two open sizes for one', () => {
    const graph = new GraphBuilder();
    const a = graph.input('a', 'float32', ['batch', 3]);
    const b = graph.input('b', 'float32', ['length', 3]);
    expect(() => op.add(a, b)).toThrow('do not fit');
    expect(op.matmul(a, op.transpose(b, [1, 0])).dims).toEqual(['batch', 'length']);
  });

  it('leaves out what no output needs and keeps equal constants once', () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [2]);
    op.mul(x, graph.scalar(9));
    const y = op.add(op.add(x, graph.scalar(1)), graph.scalar(1));
    const model = readModel(graph.build({ y }), LIMITS.onnx);
    expect(model.ok && model.value.graph.nodes.map(({ opType }) => opType)).toEqual(['Add', 'Add']);
    expect(model.ok && model.value.graph.initializers.length).toBe(1);
  });

  it('gives an input, a constant or a second name out through a copy', () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [1]);
    const y = op.neg(x);
    const bytes = graph.build({ same: x, one: graph.scalar(1), y, again: y });
    expect(admitModel(bytes)).toMatchObject({ ok: true, value: { nodeCount: 4 } });
    expect(() => graph.build({ x: y })).toThrow('name of another value');
  });

  it('records operations in order, for whoever walks them backwards', () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [2]);
    const y = op.exp(op.neg(x));
    expect(graph.operations.map(({ opType }) => opType)).toEqual(['Neg', 'Exp']);
    expect(graph.operations[1]?.inputs[0]).toBe(graph.operations[0]?.outputs[0]);
    expect(graph.operations[1]?.outputs).toEqual([y]);
  });
});
