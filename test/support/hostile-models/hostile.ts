import type { AdmissionErrorCode } from '#shared/onnx/admission.ts';
import { model, valueInfo } from '../onnx-models.ts';

export interface HostileModel {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** The code that admission refuses it with, under the default limits. */
  readonly code: AdmissionErrorCode;
}

export const x1 = [valueInfo('x', [1])];
export const y1 = [valueInfo('y', [1])];
export const open2 = [valueInfo('y', ['a', 'b'])];

export const hostile = (name: string, code: AdmissionErrorCode, bytes: Uint8Array): HostileModel => ({
  name,
  code,
  bytes,
});

/** x -> op -> y with x of one element: the smallest model around one node. */
export function around(...nodes: Parameters<typeof model>[0]['nodes']): Uint8Array {
  return model({ nodes, inputs: x1, outputs: y1 });
}
