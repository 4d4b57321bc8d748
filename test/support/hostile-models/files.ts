import type { OpsetImport } from '#shared/onnx/proto/types.ts';
import { WireWriter } from '#shared/onnx/proto/wire-writer.ts';
import { goodModel, model, node } from '../onnx-models.ts';
import { type HostileModel, around, hostile, x1, y1 } from './hostile.ts';

export function damaged(): readonly HostileModel[] {
  const good = goodModel();
  const garbage = Uint8Array.from({ length: 4096 }, (_, k) => (k * 2654435761) >>> 24);
  const lengthLie = new WireWriter().int(1, 8).finish();
  return [
    ...[0, 0.1, 0.5, 0.99].map((part) =>
      hostile(`cut off at ${part * 100} %`, 'admission.malformed', good.subarray(0, Math.floor(good.length * part))),
    ),
    hostile('garbage', 'admission.malformed', garbage),
    hostile(
      'endless varint',
      'admission.malformed',
      Uint8Array.from({ length: 64 }, (_, k) => (k === 0 ? 8 : 0xff)),
    ),
    hostile(
      'length of 2^63',
      'admission.malformed',
      Uint8Array.of(...lengthLie, 0x3a, ...Array<number>(9).fill(0xff), 1),
    ),
    hostile('group', 'admission.malformed', Uint8Array.of(...lengthLie, 0x3b, 0x3c)),
    hostile('two graphs that protobuf would merge', 'admission.malformed', Uint8Array.of(...good, ...good)),
    hostile('name that is no UTF-8', 'admission.malformed', Uint8Array.of(...lengthLie, 0x3a, 4, 0x12, 2, 0xc0, 0x80)),
  ];
}

export function headers(): readonly HostileModel[] {
  const plain = { nodes: [node('Neg', ['x'], ['y'])], inputs: x1, outputs: y1 };
  const opset = (...opsetImports: readonly OpsetImport[]) => model(plain, { opsetImports });
  return [
    hostile('opset 6', 'admission.opset', opset({ domain: '', version: 6 })),
    hostile('opset 9000', 'admission.opset', opset({ domain: '', version: 9000 })),
    hostile('no opset', 'admission.opset', opset()),
    hostile('two opsets', 'admission.opset', opset({ domain: '', version: 17 }, { domain: 'ai.onnx', version: 11 })),
    hostile('IR version 2', 'admission.ir_version', model(plain, { irVersion: 2 })),
    hostile('IR version 99', 'admission.ir_version', model(plain, { irVersion: 99 })),
    hostile(
      'custom domain',
      'admission.foreign_domain',
      model(
        { ...plain, nodes: [node('Evil', ['x'], ['y'], [], 'com.evil')] },
        {
          opsetImports: [
            { domain: '', version: 17 },
            { domain: 'com.evil', version: 1 },
          ],
        },
      ),
    ),
    hostile('unknown operator', 'admission.unknown_op', around(node('Frobnicate', ['x'], ['y']))),
    hostile('random operator', 'admission.unknown_op', around(node('RandomNormalLike', ['x'], ['y']))),
    hostile('training graph', 'admission.functions', model(plain, { trainingInfo: [Uint8Array.of()] })),
  ];
}
