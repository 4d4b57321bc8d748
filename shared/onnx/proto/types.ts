/**
 * An ONNX model in memory, in onnx.proto's terms. Subgraphs and functions stay encoded: whoever needs one
 * decodes one level at a time, so nesting in a hostile file never costs stack.
 */
export interface Model {
  readonly irVersion: number;
  readonly producerName: string;
  readonly opsetImports: readonly OpsetImport[];
  readonly graph: Graph;
  /** Encoded FunctionProto messages. */
  readonly functions: readonly Uint8Array[];
  /** Encoded TrainingInfoProto messages. */
  readonly trainingInfo: readonly Uint8Array[];
}

export interface OpsetImport {
  /** '' and 'ai.onnx' are the standard operators. */
  readonly domain: string;
  readonly version: number;
}

export interface Graph {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: readonly TensorProto[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly valueInfos: readonly ValueInfo[];
  /** Sparse initializers are counted, not decoded: nothing here takes them. */
  readonly sparseInitializerCount: number;
}

export interface Node {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  /** '' stands for an optional input or output that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly Attribute[];
}

/** Integers are JavaScript numbers: beyond 2^53 they keep sign and magnitude but not the last digits. */
export type Attribute =
  | { readonly name: string; readonly type: 'float'; readonly value: number }
  | { readonly name: string; readonly type: 'int'; readonly value: number }
  | { readonly name: string; readonly type: 'string'; readonly value: Uint8Array }
  | { readonly name: string; readonly type: 'tensor'; readonly value: TensorProto }
  | { readonly name: string; readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly name: string; readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly name: string; readonly type: 'strings'; readonly value: readonly Uint8Array[] }
  /** Encoded GraphProto messages, of a single graph or a list. */
  | { readonly name: string; readonly type: 'graphs'; readonly value: readonly Uint8Array[] }
  /** Sparse tensors, type descriptions, references to a function's attributes: recognised, not decoded. */
  | { readonly name: string; readonly type: 'unsupported' };

export interface TensorProto {
  readonly name: string;
  readonly dims: readonly number[];
  /** onnx.proto's DataType number, see element-types.ts. */
  readonly elementType: number;
  /** Little-endian, row-major; a view of the file. */
  readonly rawData: Uint8Array | undefined;
  /** Older exporters write one of these in place of rawData. */
  readonly typedData: readonly TypedData[];
  /** The bytes are in another file. */
  readonly external: boolean;
}

export type TypedField = 'float' | 'int32' | 'string' | 'int64' | 'double' | 'uint64';

export interface TypedData {
  readonly field: TypedField;
  /** Packed payloads, views of the file: fixed-width for float and double, varints for the integers. */
  readonly chunks: readonly Uint8Array[];
}

export interface ValueInfo {
  readonly name: string;
  /** undefined where the value is a sequence, map, optional or sparse tensor, or has no type. */
  readonly tensor: TensorType | undefined;
}

export interface TensorType {
  readonly elementType: number;
  /** undefined: unknown rank. */
  readonly dims: readonly DimProto[] | undefined;
}

/** A size, the name of an open size, or '' for an open size without a name. */
export type DimProto = number | string;
