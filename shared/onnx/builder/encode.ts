import { codeOfDType } from '../proto/element-types.ts';
import type { Attribute, Node, TensorProto, ValueInfo } from '../proto/types.ts';
import { encodeModel } from '../proto/write-model.ts';
import type { Dim, Operation, Value } from './graph-builder.ts';

interface Built {
  readonly name: string;
  readonly opset: number;
  readonly inputs: readonly Value[];
  readonly constants: ReadonlyMap<string, TensorProto>;
  readonly operations: readonly Operation[];
  readonly outputs: Readonly<Record<string, Value>>;
}

/** IR version that came with each opset, 17 and before: onnx/docs/Versioning.md. */
const IR_VERSION = 8;

/** Writes what the outputs need, in the order of building, which is topological. */
export function encodeBuilt(built: Built): Uint8Array {
  const names = outputNames(built);
  const live = liveOperations(built);
  const needed = new Set(live.flatMap((operation) => operation.inputs.map((input) => input?.name)));
  for (const value of Object.values(built.outputs)) needed.add(value.name);
  const nameOf = (value: Value | undefined): string =>
    value === undefined ? '' : (names.get(value.name) ?? value.name);
  const nodes = live.map(({ opType, inputs, outputs, attributes }): Node => ({
    opType,
    domain: '',
    name: outputs[0]?.name ?? '',
    inputs: inputs.map(nameOf),
    outputs: outputs.map(nameOf),
    attributes: Object.entries(attributes).map(([name, attribute]): Attribute => ({ name, ...attribute })),
  }));
  for (const [name, value] of Object.entries(built.outputs)) {
    if (nameOf(value) !== name) nodes.push(identity(nameOf(value), name));
  }
  return encodeModel({
    irVersion: IR_VERSION,
    producerName: 'hearth',
    opsetImports: [{ domain: '', version: built.opset }],
    functions: [],
    trainingInfo: [],
    graph: {
      name: built.name,
      nodes,
      initializers: [...built.constants.values()].filter(({ name }) => needed.has(name)),
      inputs: built.inputs.map((input) => valueInfo(input.name, input)),
      outputs: Object.entries(built.outputs).map(([name, value]) => valueInfo(name, value)),
      valueInfos: [],
      sparseInitializerCount: 0,
    },
  });
}

/** A computed value takes its output's name; inputs, constants and a second name for one value need a copy. */
function outputNames(built: Built): Map<string, string> {
  const computed = new Set(built.operations.flatMap((operation) => operation.outputs.map(({ name }) => name)));
  const taken = new Set([...computed, ...built.constants.keys(), ...built.inputs.map(({ name }) => name)]);
  const names = new Map<string, string>();
  for (const [name, value] of Object.entries(built.outputs)) {
    if (taken.has(name) && name !== value.name) throw new Error(`output ${name} has the name of another value`);
    if (computed.has(value.name) && !names.has(value.name)) names.set(value.name, name);
  }
  return names;
}

function liveOperations(built: Built): Operation[] {
  const needed = new Set(Object.values(built.outputs).map(({ name }) => name));
  const live: Operation[] = [];
  for (const operation of built.operations.toReversed()) {
    if (!operation.outputs.some(({ name }) => needed.has(name))) continue;
    live.push(operation);
    for (const input of operation.inputs) if (input !== undefined) needed.add(input.name);
  }
  return live.toReversed();
}

function identity(from: string, to: string): Node {
  return { opType: 'Identity', domain: '', name: to, inputs: [from], outputs: [to], attributes: [] };
}

function valueInfo(name: string, value: Value): ValueInfo {
  const dims: readonly Dim[] = value.dims;
  return { name, tensor: { elementType: codeOfDType(value.dtype), dims } };
}
