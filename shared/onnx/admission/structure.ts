import { LIMITS } from '../../protocol/limits.ts';
import type { Graph, Model, Node } from '../proto/types.ts';
import { CONTROL_FLOW, DATA_SIZED, RULES } from '../shapes/registry.ts';
import { refuse } from './errors.ts';

const isStandard = (domain: string): boolean => domain === '' || domain === 'ai.onnx';

/** Versions, domains, functions: what the file says of itself. Returns the standard operators' opset. */
export function checkHeader(model: Model): number {
  const { irVersionMin, irVersionMax, opsetMin, opsetMax } = LIMITS.onnx;
  if (model.irVersion < irVersionMin || model.irVersion > irVersionMax) {
    refuse(
      'admission.ir_version',
      `the model has IR version ${model.irVersion}; ${irVersionMin} to ${irVersionMax} are taken`,
      {
        irVersion: model.irVersion,
      },
    );
  }
  if (model.functions.length > 0) refuse('admission.functions', 'the model defines functions of its own');
  if (model.trainingInfo.length > 0) refuse('admission.functions', 'the model carries a training graph beside its own');
  const seen = new Set<string>();
  let opset: number | undefined;
  for (const { domain, version } of model.opsetImports) {
    const name = isStandard(domain) ? '' : domain;
    if (seen.has(name)) refuse('admission.opset', 'the model imports one operator set twice');
    seen.add(name);
    if (name === '') opset = version;
  }
  if (opset === undefined || opset < opsetMin || opset > opsetMax) {
    refuse('admission.opset', `the model has opset ${opset ?? 'none'}; ${opsetMin} to ${opsetMax} are taken`, {
      opset: opset ?? 0,
    });
  }
  return opset;
}

/** Operators that may run here. A foreign operator set that is imported but never used does no harm and is common. */
export function checkOperators(graph: Graph): void {
  if (graph.sparseInitializerCount > 0) refuse('admission.unsupported_type', 'the model has sparse weights');
  for (const node of graph.nodes) {
    const label = node.name === '' ? node.opType : `${node.opType} ${node.name}`;
    if (!isStandard(node.domain)) {
      refuse(
        'admission.foreign_domain',
        `${label} comes from the operator set ${node.domain}, which is not standard ONNX`,
        {
          domain: node.domain,
        },
      );
    }
    if (CONTROL_FLOW.has(node.opType) || node.attributes.some((attribute) => attribute.type === 'graphs')) {
      refuse('admission.control_flow', `${label} has a graph inside, and how long that runs cannot be known`, {
        op: node.opType,
      });
    }
    if (DATA_SIZED.has(node.opType)) {
      refuse('admission.dynamic_shape', `${label} makes outputs whose size depends on the data`, { op: node.opType });
    }
    if (!RULES.has(node.opType))
      refuse('admission.unknown_op', `${label} is not an operator that runs here`, { op: node.opType });
    for (const list of [node.inputs, node.outputs, node.attributes]) {
      if (list.length <= LIMITS.onnx.nodeValues) continue;
      refuse('admission.too_complex', `${label} has ${list.length} inputs, outputs or attributes`, {
        count: list.length,
      });
    }
    checkAttributes(node, label);
  }
}

function checkAttributes(node: Node, label: string): void {
  const names = new Set<string>();
  for (const attribute of node.attributes) {
    if (names.has(attribute.name))
      refuse('admission.invalid_node', `${label}: attribute ${attribute.name} is given twice`);
    names.add(attribute.name);
    if (attribute.type === 'unsupported') {
      refuse(
        'admission.unsupported_type',
        `${label}: attribute ${attribute.name} is of a kind that shards do not have`,
      );
    }
  }
}

/** Every name is made once and before it is read: single assignment in topological order, as the specification demands. */
export function checkNames(graph: Graph): void {
  const later = new Map<string, number>();
  for (const [index, node] of graph.nodes.entries()) for (const output of node.outputs) later.set(output, index);
  const made = new Set<string>();
  const make = (name: string, what: string): void => {
    if (made.has(name)) refuse('admission.duplicate_output', `${what} ${name} is made twice`, { name });
    made.add(name);
  };
  for (const tensor of graph.initializers) make(tensor.name, 'initializer');
  const inputs = new Set<string>();
  for (const { name } of graph.inputs) {
    if (inputs.has(name)) refuse('admission.duplicate_output', `input ${name} is declared twice`, { name });
    inputs.add(name);
    made.add(name);
  }
  for (const [index, node] of graph.nodes.entries()) {
    for (const input of node.inputs) {
      if (input === '' || made.has(input)) continue;
      if ((later.get(input) ?? -1) >= index) {
        refuse('admission.cycle', `a node reads ${input}, which only a later node or itself makes`, { name: input });
      }
      refuse('admission.undefined_input', `a node reads ${input}, which nothing makes`, { name: input });
    }
    for (const output of node.outputs) if (output !== '') make(output, 'value');
  }
  if (graph.outputs.length === 0) refuse('admission.malformed', 'the model has no outputs');
  const outputs = new Set<string>();
  for (const { name } of graph.outputs) {
    if (outputs.has(name)) refuse('admission.duplicate_output', `output ${name} is declared twice`, { name });
    outputs.add(name);
    if (!made.has(name)) refuse('admission.undefined_input', `output ${name} is made by nothing`, { name });
  }
}
