import { type DType, elementCount } from '../../model/tensor.ts';
import { refusalOf } from '../admission/errors.ts';
import { codeOfDType } from '../proto/element-types.ts';
import type { TensorProto } from '../proto/types.ts';
import { type Fact, valueFact } from '../shapes/fact.ts';
import { RULES } from '../shapes/registry.ts';
import { RuleContext } from '../shapes/rule-context.ts';
import type { Attributes } from './attributes.ts';
import { encodeBuilt } from './encode.ts';

/** A size, or the name of one that stays open until a run, such as 'batch'. */
export type Dim = number | string;

/** A tensor that the graph will compute. Made by a GraphBuilder only; operators are functions over values. */
export interface Value {
  readonly graph: GraphBuilder;
  readonly name: string;
  readonly dtype: DType;
  /** An open size that is not one of the inputs' own (twice the batch, say) is ''. */
  readonly dims: readonly Dim[];
}

/** One node, in the order of building: what reverse-mode differentiation walks backwards. */
export interface Operation {
  readonly opType: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
}

export type ConstantData = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;

/** Two sizes for every open dimension: what differs between them is open, what does not is fixed. */
type FactPair = readonly [Fact, Fact];

/** Primes beyond any size a model writes down, so that a derived size cannot pass for a fixed one by chance. */
const OPEN_SIZES: readonly (readonly [number, number])[] = [
  [1_000_003, 1_000_033],
  [1_000_037, 1_000_039],
  [1_000_081, 1_000_099],
];

/**
 * Builds an ONNX graph node by node. Types and shapes are checked as each node is added, by the same rules
 * that admit models, so a mistake throws at its own line. The result is deterministic: the same calls give the
 * same bytes.
 */
export class GraphBuilder {
  readonly opset: number;
  readonly #inputs: Value[] = [];
  readonly #constants = new Map<string, TensorProto>();
  readonly #operations: Operation[] = [];
  readonly #facts = new Map<string, FactPair>();
  readonly #openNames: string[] = [];
  readonly #interned = new Map<string, Value>();
  #count = 0;

  constructor(options: { readonly opset?: number } = {}) {
    this.opset = options.opset ?? 17;
  }

  get inputs(): readonly Value[] {
    return this.#inputs;
  }

  get operations(): readonly Operation[] {
    return this.#operations;
  }

  input(name: string, dtype: DType, dims: readonly Dim[]): Value {
    if (this.#facts.has(name)) throw new Error(`the graph has a value named ${name} already`);
    const sizes = (which: 0 | 1): number[] =>
      dims.map((dim) => (typeof dim === 'number' ? dim : this.#open(dim)[which]));
    const value = this.#value(name, [
      { dtype, dims: sizes(0) },
      { dtype, dims: sizes(1) },
    ]);
    this.#inputs.push(value);
    return value;
  }

  /** A weight or other constant; `data` is row-major and kept as it is, not copied. */
  constant(data: ConstantData, dims: readonly number[] = [data.length], name = this.#fresh('constant')): Value {
    if (this.#facts.has(name)) throw new Error(`the graph has a value named ${name} already`);
    if (elementCount(dims) !== data.length)
      throw new Error(`${name}: ${data.length} elements do not fill [${dims.join()}]`);
    const dtype = dtypeOfData(data);
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#constants.set(name, { name, dims, elementType: codeOfDType(dtype), rawData, typedData: [], external: false });
    const fact = valueFact(dtype, dims, data.length <= 64 ? Array.from(data, Number) : undefined);
    return this.#value(name, [fact, fact]);
  }

  /** A float32 scalar; the same number is stored once. */
  scalar(value: number): Value {
    return this.#intern(`float ${Object.is(value, -0) ? '-0' : value}`, () =>
      this.constant(Float32Array.of(value), []),
    );
  }

  /** A list of int64, as shapes and axes are given; the same list is stored once. */
  int64s(values: readonly number[]): Value {
    return this.#intern(`ints ${values.join()}`, () => this.constant(BigInt64Array.from(values, BigInt)));
  }

  /** Adds a node of any operator that admission knows. Throws where types or shapes do not fit. */
  apply(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    outputCount = 1,
  ): readonly Value[] {
    for (const input of inputs)
      if (input !== undefined && input.graph !== this) throw new Error(`${opType}: an input belongs to another graph`);
    const names = Array.from({ length: outputCount }, () => this.#fresh(opType));
    const [first, second] = [
      this.#infer(0, opType, inputs, attributes, names),
      this.#infer(1, opType, inputs, attributes, names),
    ];
    const outputs = names.map((name, k) => {
      const [a, b] = [first[k], second[k]];
      if (a === undefined || b === undefined) throw new Error(`${opType} has no output ${k}`);
      return this.#value(name, [a, b]);
    });
    this.#operations.push({ opType, inputs, outputs, attributes });
    return outputs;
  }

  /** `apply` for the many operators with one output. */
  applyOne(opType: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}): Value {
    const [output] = this.apply(opType, inputs, attributes);
    if (output === undefined) throw new Error(`${opType} has no output`);
    return output;
  }

  /** The ONNX file, with these outputs under these names. Nodes and constants that no output needs are left out. */
  build(outputs: Readonly<Record<string, Value>>, name = 'graph'): Uint8Array {
    for (const value of Object.values(outputs))
      if (value.graph !== this) throw new Error('an output belongs to another graph');
    return encodeBuilt({
      name,
      opset: this.opset,
      inputs: this.#inputs,
      constants: this.#constants,
      operations: this.#operations,
      outputs,
    });
  }

  #infer(
    which: 0 | 1,
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputs: readonly string[],
  ): readonly Fact[] {
    const rule = RULES.get(opType);
    if (rule === undefined) throw new Error(`${opType} is not an operator that shards may use`);
    const facts = inputs.map((input) => (input === undefined ? undefined : this.#facts.get(input.name)?.[which]));
    const node = {
      opType,
      name: '',
      inputs: inputs.map((input) => input?.name ?? ''),
      outputs,
      attributes: new Map(Object.entries(attributes)),
    };
    try {
      return rule(new RuleContext(node, this.opset, facts));
    } catch (fault) {
      const refusal = refusalOf(fault);
      if (refusal === undefined) throw fault;
      const given = inputs.map((input) => (input === undefined ? 'nothing' : `${input.dtype}[${input.dims.join()}]`));
      throw new Error(`${opType}(${given.join(', ')}): ${refusal.message}`, { cause: fault });
    }
  }

  #value(name: string, facts: FactPair): Value {
    this.#facts.set(name, facts);
    const [a, b] = facts;
    const dims = a.dims.map((size, axis): Dim => {
      if (size === b.dims[axis]) return size;
      const named = this.#openNames.findIndex(
        (_, k) => OPEN_SIZES[k]?.[0] === size && OPEN_SIZES[k]?.[1] === b.dims[axis],
      );
      return this.#openNames[named] ?? '';
    });
    return { graph: this, name, dtype: a.dtype, dims };
  }

  #open(name: string): readonly [number, number] {
    if (name === '') throw new Error('an open size needs a name');
    if (!this.#openNames.includes(name)) this.#openNames.push(name);
    const sizes = OPEN_SIZES[this.#openNames.indexOf(name)];
    if (sizes === undefined) throw new Error(`a graph has at most ${OPEN_SIZES.length} open sizes`);
    return sizes;
  }

  #intern(key: string, make: () => Value): Value {
    const known = this.#interned.get(key);
    if (known !== undefined) return known;
    const value = make();
    this.#interned.set(key, value);
    return value;
  }

  #fresh(prefix: string): string {
    let name: string;
    do {
      name = `${prefix}_${this.#count}`;
      this.#count += 1;
    } while (this.#facts.has(name));
    return name;
  }
}

function dtypeOfData(data: ConstantData): DType {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Float64Array) return 'float64';
  if (data instanceof Int32Array) return 'int32';
  if (data instanceof BigInt64Array) return 'int64';
  return data instanceof Int8Array ? 'int8' : 'uint8';
}
