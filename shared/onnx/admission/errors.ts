import { type AppError, CodedFault, appError } from '../../errors.ts';

/** Why a model, or one run of it, is refused before the runtime sees it. One code per reason. */
export type AdmissionErrorCode =
  /** Not an ONNX file, cut off, or damaged. */
  | 'admission.malformed'
  | 'admission.too_large'
  | 'admission.ir_version'
  | 'admission.opset'
  | 'admission.foreign_domain'
  | 'admission.unknown_op'
  /** If, Loop, Scan, sequences: anything with a subgraph. */
  | 'admission.control_flow'
  | 'admission.functions'
  | 'admission.external_data'
  /** Element types (string, bfloat16, ...) and value kinds (sequence, map, sparse) that no shard has. */
  | 'admission.unsupported_type'
  | 'admission.too_many_nodes'
  | 'admission.too_many_initializers'
  /** Too many names, attributes or list elements altogether. */
  | 'admission.too_complex'
  | 'admission.name_too_long'
  | 'admission.rank'
  /** Negative, or so large that the product overflows. */
  | 'admission.dims'
  /** Declared dims and the bytes that are there disagree. */
  | 'admission.initializer_data'
  | 'admission.cycle'
  | 'admission.undefined_input'
  | 'admission.duplicate_output'
  /** Inputs, attributes or shapes do not fit the operator. */
  | 'admission.invalid_node'
  | 'admission.index_out_of_range'
  /** A size that depends on values known only while running. */
  | 'admission.dynamic_shape'
  /** Declared output shape and what the graph makes disagree. */
  | 'admission.output_mismatch'
  | 'admission.tensor_too_large'
  | 'admission.memory'
  | 'admission.compute'
  /** A run's inputs do not fit the model. */
  | 'admission.input_mismatch';

export type AdmissionError = AppError<AdmissionErrorCode>;

/**
 * Ends admission from any depth of the reader or of a shape rule. Thrown, because every arithmetic step can
 * refuse; `admission.ts` and `readModel` are the only places that catch it and turn it into a Result.
 */
export function refuse(
  code: AdmissionErrorCode,
  message: string,
  data?: Readonly<Record<string, string | number | boolean>>,
): never {
  throw new CodedFault(
    appError(code, message, {
      remedy: REMEDIES[code] ?? 'Ask the model’s publisher for a plain ONNX inference export.',
      ...(data === undefined ? {} : { data }),
    }),
  );
}

/** The refusal that `fault` carries; undefined where it is a bug, to be thrown on. */
export function refusalOf(fault: unknown): AdmissionError | undefined {
  if (!(fault instanceof CodedFault) || !fault.error.code.startsWith('admission.')) return undefined;
  return fault.error as AdmissionError;
}

const REMEDIES: Partial<Record<AdmissionErrorCode, string>> = {
  'admission.malformed': 'Download or export the model again; the file must be a complete .onnx file.',
  'admission.too_large': 'Split the model, or store its weights in a smaller type.',
  'admission.opset': 'Export the model again with an opset in the range named here, 17 by preference.',
  'admission.ir_version': 'Export the model again with a current exporter and opset 17.',
  'admission.control_flow': 'Export the model without control flow, or fold it with the inputs that decide it fixed.',
  'admission.functions': 'Inline the model’s functions before publishing it.',
  'admission.external_data': 'Save the model with its weights inside the .onnx file.',
  'admission.dynamic_shape': 'Export the model with fixed sizes, leaving at most sizes of its inputs open.',
  'admission.tensor_too_large': 'Use a smaller batch, or a device with more memory.',
  'admission.memory': 'Use a smaller batch, or a device with more memory.',
  'admission.compute': 'Use a smaller batch, so that one shard takes seconds and not minutes.',
  'admission.input_mismatch': 'Send the inputs that the model declares, with its names, types and sizes.',
};
