import type { DType } from '../model/tensor.ts';
import { LIMITS } from '../protocol/limits.ts';
import { type Result, err, ok } from '../result.ts';
import { type AdmissionError, refusalOf, refuse } from './admission/errors.ts';
import { type Evaluation, type RunCaps, evaluate } from './admission/evaluate.ts';
import { type DeclaredValue, type Plan, planOf } from './admission/plan.ts';
import { dtypeOfCode } from './proto/element-types.ts';
import { type ReadLimits, decodeModel } from './proto/read-model.ts';
import type { Fact } from './shapes/fact.ts';

export type { AdmissionError, AdmissionErrorCode } from './admission/errors.ts';

/** Defaults: LIMITS.onnx. */
export interface AdmissionLimits extends ReadLimits, RunCaps {}

export interface TensorShape {
  readonly name: string;
  readonly dtype: DType;
  /** -1 where the model leaves the size open. */
  readonly dims: readonly number[];
}

export interface RunEstimate {
  /** Upper estimate for these sizes, weights and file included. */
  readonly peakBytes: number;
  /** Multiplications and additions, plus one for each element read or written. */
  readonly flops: number;
  readonly outputs: readonly TensorShape[];
}

/** A model that may be loaded. It keeps no view of the file's bytes. */
export interface AdmittedModel {
  /** The inputs a run must give: all of them and no others. Names of weights are not among them and must not be fed. */
  readonly inputs: readonly TensorShape[];
  readonly outputs: readonly TensorShape[];
  /** For the smallest sizes that the open ones allow. */
  readonly peakBytes: number;
  readonly flops: number;
  readonly nodeCount: number;
  readonly opset: number;
  /** Elements of all weights. */
  readonly parameters: number;
  /**
   * Judges one run by its inputs' sizes, under the limits the model was admitted with. A model with open sizes
   * is admitted for small ones only, so ask this before each run whose sizes are new.
   */
  readonly estimateRun: (inputs: readonly TensorShape[]) => Result<RunEstimate, AdmissionError>;
}

/** Sizes tried for open dimensions other than the first, until the graph fits: text, then images. */
const OPEN_SIZES = [1, 64, 128, 224, 256, 320, 640];

/**
 * Decides whether a stranger's ONNX file may reach the runtime, from its bytes alone: structure, operators,
 * sizes, memory and work. Refusals carry a code of their own; nothing in the file can make this throw, recurse
 * or allocate more than a small multiple of the limits.
 */
export function admitModel(
  bytes: Uint8Array,
  limits: Partial<AdmissionLimits> = {},
): Result<AdmittedModel, AdmissionError> {
  const caps: AdmissionLimits = { ...LIMITS.onnx, ...limits };
  return caught(() => {
    const plan = planOf(decodeModel(bytes, caps), bytes.length);
    const smallest = firstThatFits(plan, caps);
    return {
      inputs: plan.inputs.map((input) => ({
        ...input,
        dims: input.dims.map((dim) => (typeof dim === 'number' ? dim : -1)),
      })),
      outputs: openOutputs(plan, smallest),
      peakBytes: smallest.peakBytes,
      flops: smallest.flops,
      nodeCount: plan.nodes.length,
      opset: plan.opset,
      parameters: plan.parameters,
      estimateRun: (inputs) =>
        caught(() => {
          const run = evaluate(plan, boundInputs(plan, inputs), caps);
          return { peakBytes: run.peakBytes, flops: run.flops, outputs: outputShapes(plan, run) };
        }),
    };
  });
}

function caught<T>(decide: () => T): Result<T, AdmissionError> {
  try {
    return ok(decide());
  } catch (fault) {
    const refusal = refusalOf(fault);
    if (refusal === undefined) throw fault;
    return err(refusal);
  }
}

/** Open sizes need a number before anything can be said; the first numbers that make a whole of the graph are taken. */
function firstThatFits(plan: Plan, caps: AdmissionLimits): Evaluation {
  const open = plan.inputs.some((input) => input.dims.some((dim, axis) => typeof dim === 'string' && axis > 0));
  let first: AdmissionError | undefined;
  for (const size of open ? OPEN_SIZES : [1]) {
    const attempt = caught(() => {
      const run = evaluate(plan, assumedInputs(plan.inputs, size), caps);
      checkDeclaredOutputs(plan, run);
      return run;
    });
    if (attempt.ok) return attempt.value;
    first ??= attempt.error;
    // Only sizes that do not fit together can fit with other numbers; no larger size needs less memory.
    if (!['admission.invalid_node', 'admission.dims', 'admission.index_out_of_range'].includes(attempt.error.code))
      break;
  }
  const { code, message, data } = first ?? refuse('admission.malformed', 'the model has no sizes');
  return refuse(code, message, data);
}

function assumedInputs(inputs: readonly DeclaredValue[], size: number): Map<string, Fact> {
  return new Map(
    inputs.map(({ name, dtype, dims }) => [
      name,
      { dtype, dims: dims.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : size)) },
    ]),
  );
}

/** A run's inputs against the declaration: names, types, fixed sizes, and one size for each name of an open one. */
function boundInputs(plan: Plan, given: readonly TensorShape[]): Map<string, Fact> {
  const byName = new Map(given.map((shape) => [shape.name, shape]));
  const mismatch = (why: string): never => refuse('admission.input_mismatch', why);
  if (byName.size !== given.length) mismatch('an input is given twice');
  const sizes = new Map<string, number>();
  const facts = new Map<string, Fact>();
  for (const { name, dtype, dims } of plan.inputs) {
    const shape = byName.get(name) ?? mismatch(`input ${name} is missing`);
    if (shape.dtype !== dtype) mismatch(`input ${name} is ${shape.dtype} where the model takes ${dtype}`);
    if (shape.dims.length !== dims.length)
      mismatch(`input ${name} has another number of dimensions than the model takes`);
    for (const [axis, dim] of dims.entries()) {
      const size = shape.dims[axis] ?? 0;
      const wanted = typeof dim === 'number' ? dim : sizes.get(dim);
      if (wanted !== undefined && size !== wanted) {
        mismatch(`input ${name} has size ${size} where the model takes ${wanted}`);
      }
      if (typeof dim === 'string' && dim !== '') sizes.set(dim, size);
    }
    facts.set(name, { dtype, dims: shape.dims });
  }
  if (byName.size !== facts.size) mismatch('an input is given that the model does not have');
  return facts;
}

function checkDeclaredOutputs(plan: Plan, run: Evaluation): void {
  for (const { name, declared } of plan.outputs) {
    const made = run.facts.get(name);
    const { tensor } = declared;
    if (made === undefined || tensor === undefined) continue;
    const dtype = tensor.elementType === 0 ? made.dtype : dtypeOfCode(tensor.elementType);
    const sizesFit =
      tensor.dims === undefined ||
      (tensor.dims.length === made.dims.length &&
        tensor.dims.every((dim, axis) => typeof dim !== 'number' || dim <= 0 || dim === made.dims[axis]));
    if (dtype !== made.dtype || !sizesFit) {
      refuse('admission.output_mismatch', `output ${name} is declared as something else than the graph makes`, {
        name,
      });
    }
  }
}

function outputShapes(plan: Plan, run: Evaluation): TensorShape[] {
  return plan.outputs.flatMap(({ name }) => {
    const made = run.facts.get(name);
    return made === undefined ? [] : [{ name, dtype: made.dtype, dims: made.dims }];
  });
}

/** With open inputs a declared size counts; one that is open or not declared is open, as it may follow the input's. */
function openOutputs(plan: Plan, run: Evaluation): TensorShape[] {
  const shapes = outputShapes(plan, run);
  if (plan.inputs.every((input) => input.dims.every((dim) => typeof dim === 'number'))) return shapes;
  return shapes.map((shape, index) => {
    const declared = plan.outputs[index]?.declared.tensor?.dims;
    return { ...shape, dims: shape.dims.map((size, axis) => (declared?.[axis] === size ? size : -1)) };
  });
}
