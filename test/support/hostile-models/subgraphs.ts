import type { OpsetImport } from '#shared/onnx/proto/types.ts';
import { WireWriter } from '#shared/onnx/proto/wire-writer.ts';
import { encodeGraph, encodeNode } from '#shared/onnx/proto/write-model.ts';
import { graph, graphAttribute, int64s, model, node, rawTensor, valueInfo } from '../onnx-models.ts';
import { type HostileModel, around, hostile, x1, y1 } from './hostile.ts';

const functionImports: readonly OpsetImport[] = [
  { domain: '', version: 17 },
  { domain: 'loc', version: 1 },
];

/** onnx.proto, message FunctionProto. */
function functionProto(name: string, ...nodes: readonly ReturnType<typeof node>[]): Uint8Array {
  const writer = new WireWriter().string(1, name).string(4, 'a').string(5, 'b');
  for (const each of nodes) writer.bytes(7, encodeNode(each));
  for (const { domain, version } of functionImports)
    writer.message(9, new WireWriter().string(1, domain).int(2, version));
  return writer.string(10, 'loc').finish();
}

export function functions(): readonly HostileModel[] {
  const call = (name: string, from: string, to: string) => node(name, [from], [to], [], 'loc');
  const calling = (name: string, definitions: readonly Uint8Array[]) =>
    model(
      { nodes: [call(name, 'x', 'y')], inputs: x1, outputs: y1 },
      { functions: definitions, opsetImports: functionImports },
    );
  const bomb = Array.from({ length: 40 }, (_, k) =>
    k === 0
      ? functionProto('F0', node('Neg', ['a'], ['b']))
      : functionProto(`F${k}`, call(`F${k - 1}`, 'a', 'c'), call(`F${k - 1}`, 'c', 'b')),
  );
  return [
    hostile(
      'function that calls itself',
      'admission.functions',
      calling('F', [functionProto('F', call('F', 'a', 'c'), node('Neg', ['c'], ['b']))]),
    ),
    hostile('functions that double 40 times', 'admission.functions', calling('F39', bomb)),
  ];
}

export function controlFlow(): readonly HostileModel[] {
  const yes = rawTensor('t', 'bool', [], Uint8Array.of(1));
  const loopBody = encodeGraph(
    graph({
      nodes: [node('Identity', ['c'], ['co']), node('Neg', ['a'], ['ao'])],
      inputs: [valueInfo('i', [], 'int64'), valueInfo('c', [], 'bool'), valueInfo('a', [1])],
      outputs: [valueInfo('co', [], 'bool'), valueInfo('ao', [1])],
    }),
  );
  const scanBody = encodeGraph(
    graph({
      nodes: [node('Identity', ['c'], ['co']), node('Expand', ['x', 's'], ['o'])],
      inputs: [valueInfo('i', [], 'int64'), valueInfo('c', [], 'bool')],
      outputs: [valueInfo('co', [], 'bool'), valueInfo('o', [1_000_000])],
    }),
  );
  return [
    hostile(
      'endless loop',
      'admission.control_flow',
      model({
        nodes: [node('Loop', ['', 't', 'x'], ['y'], [graphAttribute('body', loopBody)])],
        initializers: [yes],
        inputs: x1,
        outputs: y1,
      }),
    ),
    hostile(
      'loop that stacks outputs until memory ends',
      'admission.control_flow',
      model({
        nodes: [node('Loop', ['', 't'], ['y'], [graphAttribute('body', scanBody)])],
        initializers: [yes, int64s('s', [1_000_000])],
        inputs: x1,
        outputs: [valueInfo('y', ['n', 1_000_000])],
      }),
    ),
    hostile('If nested 60 deep', 'admission.control_flow', nestedIf(60)),
    hostile('If nested 2000 deep', 'admission.control_flow', nestedIf(2000)),
    hostile(
      'graph hidden in a plain operator',
      'admission.control_flow',
      around(node('Neg', ['x'], ['y'], [graphAttribute('body', loopBody, loopBody)])),
    ),
  ];
}

function nestedIf(depth: number): Uint8Array {
  const leaf = (name: string) => graph({ nodes: [node('Neg', ['x'], [name])], outputs: [valueInfo(name, [1])] });
  const otherwise = encodeGraph(leaf('q'));
  let inner = leaf('r0');
  for (let k = 1; k < depth; k++) {
    const branches = [graphAttribute('then_branch', encodeGraph(inner)), graphAttribute('else_branch', otherwise)];
    inner = graph({ nodes: [node('If', ['t'], [`r${k}`], branches)], outputs: [valueInfo(`r${k}`, [1])] });
  }
  return model({ ...inner, inputs: x1, initializers: [rawTensor('t', 'bool', [], Uint8Array.of(1))] });
}
