import { type Result, err, ok } from '../../result.ts';
import { type AdmissionError, refusalOf, refuse } from '../admission/errors.ts';
import { type GraphCaps, readGraph } from './read-graph.ts';
import type { Graph, Model, OpsetImport } from './types.ts';
import { WireReader } from './wire.ts';

export interface ReadLimits extends GraphCaps {
  readonly modelBytes: number;
  readonly items: number;
  readonly nameBytes: number;
}

const MAX_IMPORTS = 64;

/**
 * Reads an ONNX file (onnx.proto, message ModelProto). Weights and raw tensors stay views of `bytes`, so the
 * caller must not change or transfer it while the model is in use.
 */
export function readModel(bytes: Uint8Array, limits: ReadLimits): Result<Model, AdmissionError> {
  try {
    return ok(decodeModel(bytes, limits));
  } catch (fault) {
    const refusal = refusalOf(fault);
    if (refusal === undefined) throw fault;
    return err(refusal);
  }
}

/** Like `readModel`, but refuses by throwing: for admission, which catches once around all its steps. */
export function decodeModel(bytes: Uint8Array, limits: ReadLimits): Model {
  if (bytes.length > limits.modelBytes) {
    refuse('admission.too_large', `the model has ${bytes.length} bytes, more than ${limits.modelBytes} are not taken`, {
      bytes: bytes.length,
      limit: limits.modelBytes,
    });
  }
  const reader = new WireReader(bytes, { items: limits.items, nameBytes: limits.nameBytes });
  const opsetImports: OpsetImport[] = [];
  const functions: Uint8Array[] = [];
  const trainingInfo: Uint8Array[] = [];
  let irVersion = 0;
  let producerName = '';
  let graph: Graph | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    switch (field) {
      case 1:
        irVersion = reader.int64();
        break;
      case 2:
        producerName = reader.name();
        break;
      case 7:
        if (graph !== undefined) refuse('admission.malformed', 'the file holds two graphs');
        graph = readGraph(reader.message(), limits);
        break;
      case 8:
        if (opsetImports.length >= MAX_IMPORTS)
          refuse('admission.too_complex', 'the model imports too many operator sets');
        opsetImports.push(readOpsetImport(reader.message()));
        break;
      case 20:
        reader.spend(1);
        trainingInfo.push(reader.bytes());
        break;
      case 25:
        reader.spend(1);
        functions.push(reader.bytes());
        break;
      default:
        reader.skip();
    }
  }
  if (graph === undefined) return refuse('admission.malformed', 'the file is no ONNX model: it holds no graph');
  return { irVersion, producerName, opsetImports, graph, functions, trainingInfo };
}

function readOpsetImport(reader: WireReader): OpsetImport {
  let domain = '';
  let version = 0;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) domain = reader.name();
    else if (field === 2) version = reader.int64();
    else reader.skip();
  }
  return { domain, version };
}
