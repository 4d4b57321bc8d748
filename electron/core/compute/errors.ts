import { appError, type AppError } from '#shared/errors.ts';
import { MiB } from '#shared/units.ts';
import type { AdmissionError } from '#shared/onnx/admission.ts';
import type { ComputeError, ModelSource, Placement } from './port.ts';

type Data = NonNullable<AppError['data']>;

const place = ({ backend, device }: Placement): Data => ({ backend, device });
const megabytes = (bytes: number) => `${Math.ceil(bytes / MiB)} MiB`;

/** Every sentence that this part says, in one place. */
export const computeErrors = {
  refused: (model: ModelSource, reason: AdmissionError): ComputeError =>
    appError('compute.model_refused', reason.message, {
      ...(reason.remedy === undefined ? {} : { remedy: reason.remedy }),
      data: { ...reason.data, admission: reason.code, digest: model.digest },
    }),
  wrongDigest: (model: ModelSource, actual: string): ComputeError =>
    appError('compute.model_invalid', 'The model’s bytes are not the ones that its digest names.', {
      remedy: 'Fetch the model again.',
      data: { digest: model.digest, actual },
    }),
  unreadable: (model: ModelSource, reason: string): ComputeError =>
    appError('compute.model_invalid', 'The model cannot be read.', {
      remedy: 'Fetch the model again.',
      data: { digest: model.digest, reason },
    }),
  invalidModel: (reason: string): ComputeError =>
    appError('compute.model_invalid', 'The runtime cannot load this model.', {
      remedy: 'Check the model with the tool that exported it, and export it again.',
      data: { reason },
    }),
  invalidInput: (why: string, data: Data = {}): ComputeError =>
    appError('compute.input_invalid', `The input does not fit the model: ${why}.`, {
      remedy: 'Give exactly the model’s inputs, with its types and shapes.',
      data,
    }),
  outputTooLarge: (maxBytes: number, bytes?: number): ComputeError =>
    appError('compute.output_too_large', `The shard’s output is larger than the ${megabytes(maxBytes)} agreed on.`, {
      remedy: 'Split the shard, or agree on larger outputs.',
      data: { maxBytes, ...(bytes === undefined ? {} : { bytes }) },
    }),
  deadline: (deadlineMs: number): ComputeError =>
    appError('compute.deadline', `The work was not done within ${deadlineMs} ms, so it was stopped.`, {
      remedy: 'Allow more time, or use smaller shards.',
      data: { deadlineMs },
    }),
  memory: (memoryBytes: number): ComputeError =>
    appError('compute.memory', `The shard needs more than the ${megabytes(memoryBytes)} that executors may use.`, {
      remedy: 'Allow executors more memory in the settings, or use smaller shards.',
      data: { memoryBytes },
    }),
  modelTooLarge: (peakBytes: number, budgetBytes: number): ComputeError =>
    appError(
      'compute.memory',
      `The model needs about ${megabytes(peakBytes)}, and executors may use ${megabytes(budgetBytes)} for models.`,
      { remedy: 'Allow executors more memory in the settings.', data: { peakBytes, budgetBytes } },
    ),
  released: (placement: Placement): ComputeError =>
    appError('compute.killed', 'The work was stopped because the device was taken back.', { data: place(placement) }),
  aborted: (): ComputeError => appError('compute.killed', 'The work was stopped by whoever asked for it.'),
  crashed: (placement: Placement, cause: string): ComputeError =>
    appError('compute.executor_crashed', 'The process that runs shards died twice on this shard.', {
      remedy: 'Refuse this model; if every model fails, check the graphics driver.',
      data: { ...place(placement), cause },
    }),
  loadCrashed: (placement: Placement, cause: string): ComputeError =>
    appError('compute.executor_crashed', 'The process that runs shards died twice while it loaded this model.', {
      remedy: 'Refuse this model; if every model fails, check the graphics driver.',
      data: { ...place(placement), cause },
    }),
  unavailable: (placement: Placement, reason: string): ComputeError =>
    appError('compute.executor_unavailable', 'The process that runs shards does not start.', {
      remedy: 'Run `hearth doctor`; it says what is missing.',
      data: { ...place(placement), reason },
    }),
  overloaded: (placement: Placement, waiting: number): ComputeError =>
    appError('compute.executor_unavailable', `Already ${waiting} batches wait for this device.`, {
      remedy: 'Wait for answers before sending more.',
      data: { ...place(placement), waiting },
    }),
  backendUnavailable: (placement: Placement, why: string, data: Data = {}): ComputeError =>
    appError('compute.backend_unavailable', why, {
      remedy: 'Choose another device, or install what is missing; `hearth doctor` says more.',
      data: { ...place(placement), ...data },
    }),
  runFailed: (reason: string): ComputeError =>
    appError('compute.run_failed', 'The runtime could not run this shard.', {
      remedy: 'Check that the model runs on these inputs elsewhere.',
      data: { reason },
    }),
  stopped: (): ComputeError => appError('compute.stopped', 'Computing has been stopped.'),
} as const;
