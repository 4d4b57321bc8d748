import { assertNever } from '../../result.ts';
import type { Attribute, DimProto, Graph, Model, Node, TensorProto, TypedField, ValueInfo } from './types.ts';
import { WireWriter } from './wire-writer.ts';

/** Field numbers of onnx.proto. Writing is deterministic: equal models give equal bytes. */
export function encodeModel(model: Model): Uint8Array {
  const writer = new WireWriter().int(1, model.irVersion).optionalString(2, model.producerName);
  writer.message(7, graphMessage(model.graph));
  for (const { domain, version } of model.opsetImports) {
    writer.message(8, new WireWriter().string(1, domain).int(2, version));
  }
  for (const info of model.trainingInfo) writer.bytes(20, info);
  for (const definition of model.functions) writer.bytes(25, definition);
  return writer.finish();
}

/** A GraphProto alone, for an attribute that holds a subgraph. */
export function encodeGraph(graph: Graph): Uint8Array {
  return graphMessage(graph).finish();
}

export function encodeNode(node: Node): Uint8Array {
  return nodeMessage(node).finish();
}

function graphMessage(graph: Graph): WireWriter {
  const writer = new WireWriter();
  for (const node of graph.nodes) writer.message(1, nodeMessage(node));
  writer.optionalString(2, graph.name);
  for (const tensor of graph.initializers) writer.message(5, tensorMessage(tensor));
  for (const info of graph.inputs) writer.message(11, valueInfoMessage(info));
  for (const info of graph.outputs) writer.message(12, valueInfoMessage(info));
  for (const info of graph.valueInfos) writer.message(13, valueInfoMessage(info));
  return writer;
}

function nodeMessage(node: Node): WireWriter {
  const writer = new WireWriter();
  for (const input of node.inputs) writer.string(1, input);
  for (const output of node.outputs) writer.string(2, output);
  writer.optionalString(3, node.name).string(4, node.opType);
  for (const attribute of node.attributes) writer.message(5, attributeMessage(attribute));
  return writer.optionalString(7, node.domain);
}

function attributeMessage(attribute: Attribute): WireWriter {
  const writer = new WireWriter().string(1, attribute.name);
  switch (attribute.type) {
    case 'float':
      return writer.float(2, attribute.value).int(20, 1);
    case 'int':
      return writer.int(3, attribute.value).int(20, 2);
    case 'string':
      return writer.bytes(4, attribute.value).int(20, 3);
    case 'tensor':
      return writer.message(5, tensorMessage(attribute.value)).int(20, 4);
    case 'floats':
      for (const value of attribute.value) writer.float(7, value);
      return writer.int(20, 6);
    case 'ints':
      for (const value of attribute.value) writer.int(8, value);
      return writer.int(20, 7);
    case 'strings':
      for (const value of attribute.value) writer.bytes(9, value);
      return writer.int(20, 8);
    case 'graphs':
      for (const value of attribute.value) writer.bytes(attribute.value.length === 1 ? 6 : 11, value);
      return writer.int(20, attribute.value.length === 1 ? 5 : 10);
    case 'unsupported':
      throw new Error(`attribute ${attribute.name} was not decoded, so it cannot be written`);
    default:
      return assertNever(attribute);
  }
}

const TYPED_FIELD_NUMBERS: Readonly<Record<TypedField, number>> = {
  float: 4,
  int32: 5,
  string: 6,
  int64: 7,
  double: 10,
  uint64: 11,
};

function tensorMessage(tensor: TensorProto): WireWriter {
  const writer = new WireWriter();
  for (const dim of tensor.dims) writer.int(1, dim);
  writer.int(2, tensor.elementType);
  for (const { field, chunks } of tensor.typedData) {
    for (const chunk of chunks) writer.bytes(TYPED_FIELD_NUMBERS[field], chunk);
  }
  writer.optionalString(8, tensor.name);
  if (tensor.rawData !== undefined) writer.bytes(9, tensor.rawData);
  return tensor.external ? writer.int(14, 1) : writer;
}

function valueInfoMessage(info: ValueInfo): WireWriter {
  const writer = new WireWriter().string(1, info.name);
  if (info.tensor === undefined) return writer;
  const tensorType = new WireWriter().int(1, info.tensor.elementType);
  if (info.tensor.dims !== undefined) tensorType.message(2, shapeMessage(info.tensor.dims));
  return writer.message(2, new WireWriter().message(1, tensorType));
}

function shapeMessage(dims: readonly DimProto[]): WireWriter {
  const writer = new WireWriter();
  for (const dim of dims) {
    writer.message(1, typeof dim === 'number' ? new WireWriter().int(1, dim) : new WireWriter().optionalString(2, dim));
  }
  return writer;
}
