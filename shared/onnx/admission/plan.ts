import type { DType } from '../../model/tensor.ts';
import { assertNever } from '../../result.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { dtypeOfCode } from '../proto/element-types.ts';
import type { Attribute, DimProto, Model, ValueInfo } from '../proto/types.ts';
import type { Fact } from '../shapes/fact.ts';
import type { PlanAttribute, PlanNode } from '../shapes/rule-context.ts';
import { refuse } from './errors.ts';
import { executionOrders } from './orders.ts';
import { checkHeader, checkNames, checkOperators } from './structure.ts';
import { storedTensor } from './tensors.ts';

/** A declared input or output: open sizes keep their names ('' where the model gives none). */
export interface DeclaredValue {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly DimProto[];
}

/**
 * What shape inference needs of a model, without a view of its bytes: the file can be let go while the plan
 * lives on to judge each run's sizes.
 */
export interface Plan {
  readonly opset: number;
  readonly nodes: readonly PlanNode[];
  /** Orders in which the nodes may run. */
  readonly orders: readonly (readonly number[])[];
  readonly inputs: readonly DeclaredValue[];
  /** Unknown rank: dims undefined. Types are the graph's own, declared ones are compared. */
  readonly outputs: readonly { readonly name: string; readonly declared: ValueInfo }[];
  readonly constants: ReadonlyMap<string, Fact>;
  readonly parameters: number;
  readonly parameterBytes: number;
  readonly fileBytes: number;
}

/** Structure of a decoded model, checked; refuses by throwing. */
export function planOf(model: Model, fileBytes: number): Plan {
  const opset = checkHeader(model);
  const { graph } = model;
  checkOperators(graph);
  checkNames(graph);
  const constants = new Map<string, Fact>();
  let parameters = 0;
  let parameterBytes = 0;
  for (const tensor of graph.initializers) {
    const { fact, bytes } = storedTensor(tensor);
    constants.set(tensor.name, fact);
    parameters += fact.dims.reduce((product, dim) => product * dim, 1);
    parameterBytes += bytes;
  }
  const nodes = graph.nodes.map(({ opType, name, inputs, outputs, attributes }): PlanNode => ({
    opType,
    name,
    inputs,
    outputs,
    attributes: new Map(attributes.map((attribute) => [attribute.name, planAttribute(attribute)])),
  }));
  return {
    opset,
    nodes,
    orders: executionOrders(
      nodes,
      graph.outputs.map(({ name }) => name),
    ),
    inputs: graph.inputs.filter(({ name }) => !constants.has(name)).map(declaredInput),
    outputs: graph.outputs.map((declared) => ({ name: declared.name, declared })),
    constants,
    parameters,
    parameterBytes,
    fileBytes,
  };
}

function planAttribute(attribute: Attribute): PlanAttribute {
  switch (attribute.type) {
    case 'tensor':
      return { type: 'tensor', value: storedTensor(attribute.value).fact };
    case 'string':
      if (attribute.value.length > LIMITS.onnx.nameBytes) {
        refuse('admission.name_too_long', `attribute ${attribute.name} has a text of ${attribute.value.length} bytes`);
      }
      // A copy: the plan must not hold the file.
      return { type: 'string', value: attribute.value.slice() };
    case 'strings':
    case 'graphs':
    case 'unsupported':
      return refuse('admission.unsupported_type', `attribute ${attribute.name} is of a kind that shards do not have`);
    case 'float':
    case 'int':
      return { type: attribute.type, value: attribute.value };
    case 'floats':
    case 'ints':
      return { type: attribute.type, value: attribute.value };
    default:
      return assertNever(attribute);
  }
}

function declaredInput({ name, tensor }: ValueInfo): DeclaredValue {
  const dtype = tensor === undefined ? undefined : dtypeOfCode(tensor.elementType);
  if (tensor === undefined || dtype === undefined) {
    return refuse('admission.unsupported_type', `input ${name} is not a tensor of a type that shards have`, { name });
  }
  if (tensor.dims === undefined) {
    return refuse('admission.dynamic_shape', `input ${name} does not say how many dimensions it has`, { name });
  }
  if (tensor.dims.length > LIMITS.onnx.rank) {
    refuse('admission.rank', `input ${name} has ${tensor.dims.length} dimensions`, { rank: tensor.dims.length });
  }
  for (const dim of tensor.dims) {
    if (typeof dim === 'number' && (!Number.isSafeInteger(dim) || dim > LIMITS.onnx.dimSize)) {
      refuse('admission.dims', `input ${name} has an impossible size`, { size: dim });
    }
  }
  // Exporters of opset 7's time wrote open sizes as 0 or a negative number.
  return { name, dtype, dims: tensor.dims.map((dim) => (typeof dim === 'number' && dim <= 0 ? '' : dim)) };
}
