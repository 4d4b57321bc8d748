import type { DType } from '../../model/tensor.ts';
import { refuse } from '../admission/errors.ts';
import { decodeUtf8 } from '../proto/utf8.ts';
import { type Fact, elements } from './fact.ts';

/** A node without its weights: tensor attributes are facts already. */
export interface PlanNode {
  readonly opType: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, PlanAttribute>;
}

export type PlanAttribute =
  | { readonly type: 'float' | 'int'; readonly value: number }
  | { readonly type: 'floats' | 'ints'; readonly value: readonly number[] }
  | { readonly type: 'string'; readonly value: Uint8Array }
  | { readonly type: 'tensor'; readonly value: Fact };

/** Facts of a node's outputs, in order; fewer than the node names is a refusal, more are ignored. */
export type Rule = (node: RuleContext) => readonly Fact[];

/** One node as its shape rule sees it: typed access to inputs and attributes that refuses what does not fit. */
export class RuleContext {
  readonly node: PlanNode;
  readonly opset: number;
  readonly #inputs: readonly (Fact | undefined)[];
  /** Arithmetic beyond one operation per element read or written. */
  flops = 0;
  /** Memory the kernel itself needs while it runs. */
  scratchBytes = 0;

  constructor(node: PlanNode, opset: number, inputs: readonly (Fact | undefined)[]) {
    this.node = node;
    this.opset = opset;
    this.#inputs = inputs;
  }

  get inputCount(): number {
    return this.#inputs.length;
  }

  get inputs(): readonly Fact[] {
    return this.#inputs.map((_, index) => this.input(index));
  }

  input(index: number): Fact {
    return this.#inputs[index] ?? this.invalid(`input ${index} is missing`);
  }

  optional(index: number): Fact | undefined {
    return this.#inputs[index];
  }

  /** A size of input `index`; `axis` may be negative as in Python. */
  dim(index: number, axis: number): number {
    return this.input(index).dims.at(axis) ?? this.invalid(`input ${index} has too few dimensions`);
  }

  requireRank(index: number, least: number, most = Infinity): readonly number[] {
    const { dims } = this.input(index);
    if (dims.length < least || dims.length > most) this.invalid(`input ${index} has ${dims.length} dimensions`);
    return dims;
  }

  int(name: string, fallback: number): number {
    const attribute = this.#attribute(name, 'int');
    return attribute === undefined ? fallback : (attribute.value as number);
  }

  requiredInt(name: string): number {
    const attribute = this.#attribute(name, 'int') ?? this.invalid(`attribute ${name} is missing`);
    return attribute.value as number;
  }

  ints(name: string): readonly number[] | undefined {
    return this.#attribute(name, 'ints')?.value as readonly number[] | undefined;
  }

  floats(name: string): readonly number[] | undefined {
    return this.#attribute(name, 'floats')?.value as readonly number[] | undefined;
  }

  string(name: string, fallback: string): string {
    const attribute = this.#attribute(name, 'string');
    if (attribute === undefined) return fallback;
    return decodeUtf8(attribute.value as Uint8Array) ?? this.invalid(`attribute ${name} is no text`);
  }

  tensor(name: string): Fact | undefined {
    return this.#attribute(name, 'tensor')?.value as Fact | undefined;
  }

  has(name: string): boolean {
    return this.node.attributes.has(name);
  }

  /** Elements of an input that decides a size: known now, or the size depends on data. */
  constant(index: number): readonly number[] {
    return (
      this.input(index).values ??
      refuse('admission.dynamic_shape', `${this.label} takes a size from values known only while running`, {
        node: this.label,
      })
    );
  }

  /** A one-dimensional list of integers that moved from an attribute to an input at opset `since`. */
  intsFrom(attribute: string, index: number, since: number): readonly number[] | undefined {
    if (this.opset < since) return this.ints(attribute);
    return this.optional(index) === undefined ? undefined : this.constant(index);
  }

  /** `axis` into [0, rank). */
  axis(axis: number, rank: number): number {
    const positive = axis < 0 ? axis + rank : axis;
    if (!Number.isInteger(positive) || positive < 0 || positive >= rank) {
      this.invalid(`axis ${axis} does not exist in ${rank} dimensions`);
    }
    return positive;
  }

  axes(axes: readonly number[], rank: number): number[] {
    const normal = axes.map((axis) => this.axis(axis, rank));
    if (new Set(normal).size !== normal.length) this.invalid('an axis is named twice');
    return normal;
  }

  sameDType(...indices: readonly number[]): DType {
    const [first = 0, ...rest] = indices;
    const { dtype } = this.input(first);
    for (const index of rest) {
      if (this.input(index).dtype !== dtype) this.invalid(`input ${index} has another type than input ${first}`);
    }
    return dtype;
  }

  get label(): string {
    return this.node.name === '' ? this.node.opType : `${this.node.opType} ${this.node.name}`;
  }

  invalid(why: string): never {
    return refuse('admission.invalid_node', `${this.label}: ${why}`, { node: this.label });
  }

  outOfRange(index: number, size: number): never {
    return refuse('admission.index_out_of_range', `${this.label}: index ${index} lies outside of ${size} entries`, {
      node: this.label,
      index,
      size,
    });
  }

  /** Largest of the inputs in elements: the work of an operator that reads each once. */
  get inputElements(): number {
    return this.#inputs.reduce((sum, fact) => sum + (fact === undefined ? 0 : elements(fact.dims)), 0);
  }

  #attribute(name: string, type: PlanAttribute['type']): PlanAttribute | undefined {
    const attribute = this.node.attributes.get(name);
    if (attribute !== undefined && attribute.type !== type) this.invalid(`attribute ${name} has the wrong type`);
    return attribute;
  }
}
