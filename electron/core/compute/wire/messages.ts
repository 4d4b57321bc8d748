import { DTYPE_BYTES, elementCount, type DType, type Tensor } from '#shared/model/tensor.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { ComputeErrorCode, TensorSpec } from '../port.ts';
import { FieldReader, FieldWriter, WireFault } from './fields.ts';
import { aligned, encodeFrame, KIND, type Frame } from './frame.ts';

/** Raised when either side would misread the other. */
export const WIRE_VERSION = 1;

/** What an executor may answer instead of a result. The order is the wire's. */
export const WIRE_FAILURES = [
  'compute.model_invalid',
  'compute.backend_unavailable',
  'compute.memory',
  'compute.run_failed',
  'compute.output_too_large',
  'compute.input_invalid',
] as const satisfies readonly ComputeErrorCode[];
export type WireFailureCode = (typeof WIRE_FAILURES)[number];

/** The child's own words are a stranger's: bounded, and never more than `data` of an error. */
export interface WireFailure {
  readonly code: WireFailureCode;
  readonly reason: string;
}

export interface LoadMessage {
  readonly seq: number;
  /** The parent's number for the session, used by `run` and `unload`. */
  readonly slot: number;
}

export interface RunMessage {
  readonly seq: number;
  readonly slot: number;
  readonly maxOutputBytes: number;
  /** In the session's order, as `loaded` told it. */
  readonly inputs: readonly Tensor[];
}

export interface LoadedMessage {
  readonly seq: number;
  readonly outcome: { readonly inputs: readonly TensorSpec[]; readonly outputs: readonly TensorSpec[] } | WireFailure;
}

export interface ResultMessage {
  readonly seq: number;
  /** Time inside the runtime's run() alone. */
  readonly computeMicros: number;
  /** In the session's order. */
  readonly outcome: readonly Tensor[] | WireFailure;
}

export function encodeReady(runtimeVersion: string): Uint8Array[] {
  return encodeFrame(KIND.ready, new FieldWriter().u16(WIRE_VERSION).text(runtimeVersion, 64).finish(), []);
}

export function decodeReady(frame: Frame): { readonly runtimeVersion: string } {
  const head = new FieldReader(frame.head);
  const version = head.u16();
  if (version !== WIRE_VERSION) throw new WireFault(`executor speaks version ${version}`);
  const runtimeVersion = head.text();
  head.end();
  return { runtimeVersion };
}

export function encodeLoad(message: LoadMessage, model: Uint8Array): Uint8Array[] {
  return encodeFrame(KIND.load, new FieldWriter().u32(message.seq).u32(message.slot).f64(model.byteLength).finish(), [
    model,
  ]);
}

export function decodeLoad(frame: Frame): LoadMessage & { readonly model: Uint8Array } {
  const head = new FieldReader(frame.head);
  const message = { seq: head.u32(), slot: head.u32() };
  const size = head.f64();
  head.end();
  if (aligned(size) !== frame.body.byteLength) throw new WireFault('model size');
  return { ...message, model: frame.body.subarray(0, size) };
}

export function encodeUnload(slot: number): Uint8Array[] {
  return encodeFrame(KIND.unload, new FieldWriter().u32(slot).finish(), []);
}

export function decodeUnload(frame: Frame): { readonly slot: number } {
  const head = new FieldReader(frame.head);
  const slot = head.u32();
  head.end();
  return { slot };
}

export function encodeRun(message: RunMessage): Uint8Array[] {
  const head = new FieldWriter().u32(message.seq).u32(message.slot).f64(message.maxOutputBytes);
  writeTensorHeads(head, message.inputs);
  return encodeFrame(KIND.run, head.finish(), message.inputs.map(bytesOf));
}

export function decodeRun(frame: Frame): RunMessage {
  const head = new FieldReader(frame.head);
  const message = { seq: head.u32(), slot: head.u32(), maxOutputBytes: head.f64() };
  const inputs = readTensors(head, frame.body);
  head.end();
  return { ...message, inputs };
}

export function encodeLoaded({ seq, outcome }: LoadedMessage): Uint8Array[] {
  const head = new FieldWriter().u32(seq);
  if ('code' in outcome) return encodeFrame(KIND.loaded, writeFailure(head, outcome).finish(), []);
  head.u8(0);
  for (const specs of [outcome.inputs, outcome.outputs]) {
    head.u16(specs.length);
    for (const { name, dtype, dims } of specs) head.name(name).name(dtype).dims(dims);
  }
  return encodeFrame(KIND.loaded, head.finish(), []);
}

export function decodeLoaded(frame: Frame): LoadedMessage {
  const head = new FieldReader(frame.head);
  const seq = head.u32();
  const outcome = readFailure(head) ?? { inputs: readSpecs(head), outputs: readSpecs(head) };
  head.end();
  return { seq, outcome };
}

export function encodeResult({ seq, computeMicros, outcome }: ResultMessage): Uint8Array[] {
  const head = new FieldWriter().u32(seq).u32(Math.min(Math.round(computeMicros), 0xff_ff_ff_ff));
  if ('code' in outcome) return encodeFrame(KIND.result, writeFailure(head, outcome).finish(), []);
  writeTensorHeads(head.u8(0), outcome);
  return encodeFrame(KIND.result, head.finish(), outcome.map(bytesOf));
}

export function decodeResult(frame: Frame): ResultMessage {
  const head = new FieldReader(frame.head);
  const seq = head.u32();
  const computeMicros = head.u32();
  const outcome = readFailure(head) ?? readTensors(head, frame.body);
  head.end();
  return { seq, computeMicros, outcome };
}

function writeFailure(head: FieldWriter, failure: WireFailure): FieldWriter {
  return head.u8(1 + WIRE_FAILURES.indexOf(failure.code)).text(failure.reason, LIMITS.compute.reasonBytes);
}

/** undefined when the message tells of success. */
function readFailure(head: FieldReader): WireFailure | undefined {
  const status = head.u8();
  if (status === 0) return undefined;
  const code = WIRE_FAILURES[status - 1];
  if (code === undefined) throw new WireFault(`status ${status}`);
  const reason = head.text();
  if (reason.length > LIMITS.compute.reasonBytes) throw new WireFault('reason too long');
  // Control characters could forge lines of a log or move a terminal's cursor.
  return { code, reason: reason.replaceAll(/\p{Cc}+/gu, ' ') };
}

function readSpecs(head: FieldReader): TensorSpec[] {
  return Array.from({ length: head.count(LIMITS.compute.tensors) }, () => ({
    name: head.text(),
    dtype: head.text(),
    dims: head.dims(-1, LIMITS.compute.rank),
  }));
}

function writeTensorHeads(head: FieldWriter, tensors: readonly Tensor[]): void {
  head.u16(tensors.length);
  for (const { dtype, dims } of tensors) head.dtype(dtype).dims(dims);
}

/** Tensors as views of the body: their sizes follow from type and shape, and must fill it to the byte. */
function readTensors(head: FieldReader, body: Uint8Array): Tensor[] {
  const count = head.count(LIMITS.compute.tensors);
  const tensors: Tensor[] = [];
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    const dtype = head.dtype();
    if (dtype === undefined) throw new WireFault('unknown element type');
    const dims = head.dims(0, LIMITS.compute.rank);
    const size = sizeOf(dtype, dims);
    // A product that overflowed to Infinity is refused here, one that became NaN by the sum below.
    if (at + aligned(size) > body.byteLength) throw new WireFault('tensor beyond the body');
    tensors.push({ dtype, dims, bytes: body.subarray(at, at + size) });
    at += aligned(size);
  }
  if (at !== body.byteLength) throw new WireFault('body longer than its tensors');
  return tensors;
}

function sizeOf(dtype: DType, dims: readonly number[]): number {
  return elementCount(dims) * DTYPE_BYTES[dtype];
}

function bytesOf(tensor: Tensor): Uint8Array {
  return tensor.bytes;
}
