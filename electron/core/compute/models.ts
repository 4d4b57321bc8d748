import { createHash } from 'node:crypto';
import { elementCount, type NamedTensors, DTYPE_BYTES } from '#shared/model/tensor.ts';
import {
  admitModel,
  type AdmissionError,
  type AdmissionLimits,
  type AdmittedModel,
  type RunEstimate,
} from '#shared/onnx/admission.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { Sha256Hex } from '#shared/units.ts';
import { computeErrors } from './errors.ts';
import type { ComputeError, ModelInfo, ModelSource } from './port.ts';

/** A model that admission let through, and the judgement on each shape of its inputs that was asked about. */
export interface KnownModel {
  readonly info: ModelInfo;
  /** Refuses inputs that do not fit, and runs whose sizes go beyond the limits. */
  readonly checkInputs: (inputs: NamedTensors, maxOutputBytes: number) => ComputeError | undefined;
}

export interface FoundModel {
  readonly model: KnownModel;
  /** Present when the model was read just now. */
  readonly bytes?: Uint8Array;
}

/** Reads a model whole and holds it against its digest. A source that fails is an expected outcome: its file may be gone. */
export async function readModel(source: ModelSource): Promise<Result<Uint8Array, ComputeError>> {
  let bytes;
  try {
    bytes = await source.read();
  } catch (fault) {
    return err(computeErrors.unreadable(source, fault instanceof Error ? fault.message : 'unknown'));
  }
  const actual = createHash('sha256').update(bytes).digest('hex');
  return actual === source.digest ? ok(bytes) : err(computeErrors.wrongDigest(source, actual));
}

/** Remembers verdicts by digest: the same bytes are judged once, and a refused model is not read again. */
export class ModelRegistry {
  readonly #verdicts = new Map<Sha256Hex, Result<KnownModel, ComputeError>>();
  readonly #limits: Partial<AdmissionLimits>;

  constructor(limits: Partial<AdmissionLimits>) {
    this.#limits = limits;
  }

  async find(source: ModelSource): Promise<Result<FoundModel, ComputeError>> {
    const known = this.#verdicts.get(source.digest);
    if (known !== undefined) return known.ok ? ok({ model: known.value }) : known;
    const bytes = await readModel(source);
    if (!bytes.ok) return bytes;
    const admitted = admitModel(bytes.value, this.#limits);
    const verdict = admitted.ok ? ok(knownModel(source, admitted.value)) : refused(source, admitted.error);
    this.#remember(source.digest, verdict);
    return verdict.ok ? ok({ model: verdict.value, bytes: bytes.value }) : verdict;
  }

  #remember(digest: Sha256Hex, verdict: Result<KnownModel, ComputeError>): void {
    const [oldest] = this.#verdicts.keys();
    if (oldest !== undefined && this.#verdicts.size >= LIMITS.compute.verdicts) this.#verdicts.delete(oldest);
    this.#verdicts.set(digest, verdict);
  }
}

function refused(source: ModelSource, reason: AdmissionError): Result<never, ComputeError> {
  return err(computeErrors.refused(source, reason));
}

function knownModel(source: ModelSource, admitted: AdmittedModel): KnownModel {
  const { inputs, outputs, peakBytes } = admitted;
  const estimates = new Map<string, Result<RunEstimate, AdmissionError>>();
  const estimate = (given: NamedTensors) => {
    const shapes = inputs.map(({ name, dtype }) => ({ name, dtype, dims: given[name]?.dims ?? [] }));
    const key = shapes.map(({ dims }) => dims.join('x')).join(';');
    const known = estimates.get(key) ?? admitted.estimateRun(shapes);
    // A model with open sizes may be asked about any number of shapes.
    if (estimates.size >= LIMITS.compute.verdicts) estimates.clear();
    estimates.set(key, known);
    return known;
  };
  return {
    info: { digest: source.digest, inputs, outputs, peakBytes },
    checkInputs: (given, maxOutputBytes) => {
      const misfit = misfitOf(admitted, given);
      if (misfit !== undefined) return misfit;
      const run = estimate(given);
      if (!run.ok) return computeErrors.refused(source, run.error);
      const bytes = run.value.outputs.reduce(
        (sum, { dtype, dims }) => sum + elementCount(dims) * DTYPE_BYTES[dtype],
        0,
      );
      return bytes > maxOutputBytes ? computeErrors.outputTooLarge(maxOutputBytes, bytes) : undefined;
    },
  };
}

function misfitOf({ inputs }: AdmittedModel, given: NamedTensors): ComputeError | undefined {
  const extra = Object.keys(given).find((name) => !inputs.some((input) => input.name === name));
  if (extra !== undefined) return computeErrors.invalidInput('there is one the model does not have', { input: extra });
  let total = 0;
  for (const { name, dtype, dims } of inputs) {
    const tensor = Object.hasOwn(given, name) ? given[name] : undefined;
    if (tensor === undefined) return computeErrors.invalidInput('one is missing', { input: name });
    if (tensor.dtype !== dtype) {
      return computeErrors.invalidInput('another element type', { input: name, expected: dtype, actual: tensor.dtype });
    }
    if (!fitsDims(tensor.dims, dims)) {
      const data = { input: name, expected: dims.join(' x '), actual: tensor.dims.join(' x ') };
      return computeErrors.invalidInput('another shape', data);
    }
    if (tensor.bytes.byteLength !== elementCount(tensor.dims) * DTYPE_BYTES[dtype]) {
      return computeErrors.invalidInput('its bytes do not fill its shape', { input: name });
    }
    total += tensor.bytes.byteLength;
  }
  const maxBytes = LIMITS.shard.inputBytes;
  return total > maxBytes ? computeErrors.invalidInput('it is too large', { bytes: total, maxBytes }) : undefined;
}

/** `declared` holds -1 where any size is allowed. */
export function fitsDims(actual: readonly number[], declared: readonly number[]): boolean {
  return (
    actual.length === declared.length &&
    actual.every((dim, axis) => Number.isSafeInteger(dim) && dim >= 0 && [-1, dim].includes(declared[axis] ?? -2))
  );
}
