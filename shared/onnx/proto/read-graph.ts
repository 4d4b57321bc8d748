import { refuse } from '../admission/errors.ts';
import { readTensor } from './read-tensor.ts';
import type { Attribute, DimProto, Graph, Node, TensorProto, TensorType, ValueInfo } from './types.ts';
import type { WireReader } from './wire.ts';

export interface GraphCaps {
  readonly nodes: number;
  readonly initializers: number;
}

/**
 * onnx.proto, message GraphProto. Fields that carry no meaning for running (doc strings, metadata,
 * quantisation notes) are skipped. A message field that may stand once and stands twice is refused:
 * protobuf merges the two, and a reader that kept one would see another model than the runtime.
 */
export function readGraph(reader: WireReader, caps: GraphCaps): Graph {
  const nodes: Node[] = [];
  const initializers: TensorProto[] = [];
  const inputs: ValueInfo[] = [];
  const outputs: ValueInfo[] = [];
  const valueInfos: ValueInfo[] = [];
  let name = '';
  let sparseInitializerCount = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        if (nodes.length >= caps.nodes) {
          refuse('admission.too_many_nodes', `the model has more than ${caps.nodes} nodes`, { limit: caps.nodes });
        }
        nodes.push(readNode(reader.message()));
        break;
      case 2:
        name = reader.name();
        break;
      case 5:
        if (initializers.length >= caps.initializers) {
          refuse('admission.too_many_initializers', `the model has more than ${caps.initializers} initializers`, {
            limit: caps.initializers,
          });
        }
        initializers.push(readTensor(reader.message()));
        break;
      case 11:
        inputs.push(readValueInfo(reader.message()));
        break;
      case 12:
        outputs.push(readValueInfo(reader.message()));
        break;
      case 13:
        valueInfos.push(readValueInfo(reader.message()));
        break;
      case 15:
        reader.skip();
        sparseInitializerCount += 1;
        break;
      default:
        reader.skip();
    }
  }
  return { name, nodes, initializers, inputs, outputs, valueInfos, sparseInitializerCount };
}

function readNode(reader: WireReader): Node {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: Attribute[] = [];
  let name = '';
  let opType = '';
  let domain = '';
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) inputs.push(reader.name());
    else if (field === 2) outputs.push(reader.name());
    else if (field === 3) name = reader.name();
    else if (field === 4) opType = reader.name();
    else if (field === 5) attributes.push(readAttribute(reader.message()));
    else if (field === 7) domain = reader.name();
    else reader.skip();
  }
  return { name, opType, domain, inputs, outputs, attributes };
}

/** AttributeProto.AttributeType: GRAPH and GRAPHS. */
const GRAPH = 5;
const GRAPHS = 10;

function readAttribute(reader: WireReader): Attribute {
  const floats: number[] = [];
  const ints: number[] = [];
  const strings: Uint8Array[] = [];
  const graphs: Uint8Array[] = [];
  let name = '';
  let type = 0;
  let float = 0;
  let int = 0;
  let string: Uint8Array = new Uint8Array();
  let tensor: TensorProto | undefined;
  let refersToFunction = false;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        name = reader.name();
        break;
      case 2:
        float = reader.float();
        break;
      case 3:
        int = reader.int64();
        break;
      case 4:
        string = reader.bytes();
        break;
      case 5:
        if (tensor !== undefined) twice('an attribute’s tensor');
        tensor = readTensor(reader.message());
        break;
      case 6:
      case 11:
        reader.spend(1);
        graphs.push(reader.bytes());
        break;
      case 7:
        reader.floats(floats);
        break;
      case 8:
        reader.int64s(ints);
        break;
      case 9:
        reader.spend(1);
        strings.push(reader.bytes());
        break;
      case 20:
        type = reader.int32();
        break;
      case 21:
        reader.skip();
        refersToFunction = true;
        break;
      default:
        reader.skip();
    }
  }
  if (graphs.length > 0 || type === GRAPH || type === GRAPHS) return { name, type: 'graphs', value: graphs };
  if (refersToFunction) return { name, type: 'unsupported' };
  if (type === 1) return { name, type: 'float', value: float };
  if (type === 2) return { name, type: 'int', value: int };
  if (type === 3) return { name, type: 'string', value: string };
  if (type === 4 && tensor !== undefined) return { name, type: 'tensor', value: tensor };
  if (type === 6) return { name, type: 'floats', value: floats };
  if (type === 7) return { name, type: 'ints', value: ints };
  if (type === 8) return { name, type: 'strings', value: strings };
  return { name, type: 'unsupported' };
}

export function readValueInfo(reader: WireReader): ValueInfo {
  let name = '';
  let tensor: TensorType | undefined;
  let typed = false;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) name = reader.name();
    else if (field === 2) {
      if (typed) twice('a value’s type');
      typed = true;
      tensor = readType(reader.message());
    } else reader.skip();
  }
  return { name, tensor };
}

/** TypeProto: a oneof, of which only `tensor_type` is kept. */
function readType(reader: WireReader): TensorType | undefined {
  let tensor: TensorType | undefined;
  let kinds = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 6) {
      reader.skip();
      continue;
    }
    kinds += 1;
    if (kinds > 1) twice('the kind of a value');
    if (field === 1) tensor = readTensorType(reader.message());
    else reader.skip();
  }
  return tensor;
}

function readTensorType(reader: WireReader): TensorType {
  let elementType = 0;
  let dims: DimProto[] | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) elementType = reader.int32();
    else if (field === 2) {
      if (dims !== undefined) twice('a value’s shape');
      dims = readShape(reader.message());
    } else reader.skip();
  }
  return { elementType, dims };
}

function readShape(reader: WireReader): DimProto[] {
  const dims: DimProto[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) dims.push(readDim(reader.message()));
    else reader.skip();
  }
  return dims;
}

function readDim(reader: WireReader): DimProto {
  let dim: DimProto = '';
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) dim = reader.int64();
    else if (field === 2) dim = reader.name();
    else reader.skip();
  }
  return dim;
}

function twice(what: string): never {
  return refuse('admission.malformed', `${what} is given twice`);
}
