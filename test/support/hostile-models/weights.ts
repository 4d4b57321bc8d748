import { WireWriter } from '#shared/onnx/proto/wire-writer.ts';
import { encodeGraph, encodeNode } from '#shared/onnx/proto/write-model.ts';
import { float32s, graph, int, model, node, type rawTensor, valueInfo } from '../onnx-models.ts';
import { type HostileModel, hostile, x1 } from './hostile.ts';

export function weights(): readonly HostileModel[] {
  const adding = (w: ReturnType<typeof rawTensor>) =>
    model({ nodes: [node('Add', ['w', 'x'], ['y'])], initializers: [w], inputs: x1, outputs: [valueInfo('y', ['n'])] });
  const good = float32s('w', [1, 2, 3, 4]);
  return [
    ...['../../../../../etc/passwd', '/etc/passwd', '/dev/zero', 'package.json', '*/_ORT_MEM_ADDR_/*'].map((location) =>
      hostile(`external data from ${location}`, 'admission.external_data', externalData(location)),
    ),
    hostile('weight without data', 'admission.initializer_data', adding({ ...good, dims: [1e9], rawData: undefined })),
    hostile('weight with too few data', 'admission.initializer_data', adding({ ...good, dims: [1e6] })),
    hostile('weight with too many data', 'admission.initializer_data', adding({ ...good, dims: [1] })),
    hostile(
      'weight with data of another type',
      'admission.initializer_data',
      adding({ ...good, rawData: undefined, typedData: [{ field: 'double', chunks: [new Uint8Array(32)] }] }),
    ),
    hostile('weight with negative size', 'admission.dims', adding({ ...good, dims: [-4] })),
    hostile('weight whose sizes overflow', 'admission.dims', adding({ ...good, dims: [2 ** 31, 2 ** 31, 4] })),
    hostile('weight of strings', 'admission.unsupported_type', adding({ ...good, elementType: 8 })),
    hostile('weight of rank 9', 'admission.rank', adding({ ...good, dims: [4, 1, 1, 1, 1, 1, 1, 1, 1] })),
  ];
}

/** onnx.proto, TensorProto.external_data: the writer has no words for it, so the tensor is put together by hand. */
function externalData(location: string): Uint8Array {
  const entry = (key: string, value: string) => new WireWriter().string(1, key).string(2, value);
  const tensor = new WireWriter().int(1, 64).int(2, 2).string(8, 'w').message(13, entry('location', location));
  tensor.message(13, entry('offset', '0')).message(13, entry('length', '64')).int(14, 1);
  const graphMessage = new WireWriter()
    .bytes(1, encodeNode(node('Cast', ['w'], ['wf'], [int('to', 1)])))
    .bytes(1, encodeNode(node('Add', ['wf', 'x'], ['y'])))
    .message(5, tensor);
  const rest = encodeGraph(graph({ nodes: [], inputs: x1, outputs: [valueInfo('y', [64])] }));
  const whole = Uint8Array.of(...graphMessage.finish(), ...rest);
  return new WireWriter().int(1, 8).bytes(7, whole).message(8, new WireWriter().string(1, '').int(2, 17)).finish();
}
