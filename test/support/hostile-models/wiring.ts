import { float32s, int, model, node, valueInfo } from '../onnx-models.ts';
import { type HostileModel, around, hostile, x1, y1 } from './hostile.ts';

export function wiring(): readonly HostileModel[] {
  const many = (count: number) => Array.from({ length: count }, (_, k) => node('Neg', [`v${k}`], [`v${k + 1}`]));
  return [
    hostile(
      'cycle',
      'admission.cycle',
      model({
        nodes: [node('Add', ['x', 'b'], ['a']), node('Neg', ['a'], ['b'])],
        inputs: x1,
        outputs: [valueInfo('b', [1])],
      }),
    ),
    hostile('node that reads itself', 'admission.cycle', around(node('Add', ['x', 'y'], ['y']))),
    hostile('input from nowhere', 'admission.undefined_input', around(node('Add', ['x', 'ghost'], ['y']))),
    hostile('output made by nothing', 'admission.undefined_input', around(node('Neg', ['x'], ['z']))),
    hostile(
      'output made twice',
      'admission.duplicate_output',
      around(node('Neg', ['x'], ['y']), node('Abs', ['x'], ['y'])),
    ),
    hostile(
      'too many nodes',
      'admission.too_many_nodes',
      model({ nodes: many(20_001), inputs: [valueInfo('v0', [1])], outputs: [valueInfo('v20001', [1])] }),
    ),
    hostile(
      'too many weights',
      'admission.too_many_initializers',
      model({
        nodes: [node('Neg', ['x'], ['y'])],
        initializers: Array.from({ length: 20_001 }, (_, k) => float32s(`w${k}`, [])),
        inputs: x1,
        outputs: y1,
      }),
    ),
    hostile(
      'too many list elements',
      'admission.too_complex',
      around(node('Neg', ['x'], ['y'], [{ name: 'n', type: 'ints', value: Array.from({ length: 600_000 }, () => 0) }])),
    ),
    hostile(
      'node of 200 000 inputs',
      'admission.too_complex',
      around(
        node(
          'Sum',
          Array.from({ length: 200_000 }, () => 'x'),
          ['y'],
        ),
      ),
    ),
    hostile('name of 4 kB', 'admission.name_too_long', around(node('Neg', ['x'], ['z'.repeat(4096)]))),
    hostile(
      'attribute given twice',
      'admission.invalid_node',
      around(node('Flatten', ['x'], ['y'], [int('axis', 0), int('axis', 1)])),
    ),
    hostile('too many outputs', 'admission.invalid_node', around(node('Neg', ['x'], ['y', 'z']))),
  ];
}
