import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeNpy } from '#shared/tensor-files/npy.ts';
import { writeNpz } from '#shared/tensor-files/npz.ts';
import { tempDir } from '#support/temp-dir.ts';
import { f32, i64 } from '#support/tensors.ts';
import { readInputs } from '../../../electron/headless/submit/read-inputs.ts';

const a = f32([1, 2, 3, 4], [2, 2]);
const b = i64([5n]);

function folder(): (name: string) => string {
  const place = tempDir();
  const npz = writeNpz({ a, b });
  if (!npz.ok) throw new Error(npz.error.message);
  writeFileSync(path.join(place, 'both.npz'), npz.value);
  writeFileSync(path.join(place, 'a.npy'), writeNpy(a));
  writeFileSync(path.join(place, 'a:b.bin'), a.bytes);
  return (name) => path.join(place, name);
}

const one = [{ name: 'a' }];
const two = [{ name: 'a' }, { name: 'b' }];

describe('inputs named on the command line', () => {
  it('come from .npz, .npy and raw bytes alike', async () => {
    const at = folder();
    expect(await readInputs([at('both.npz')], two)).toEqual({ ok: true, value: { a, b } });
    expect(await readInputs([at('a.npy')], one)).toEqual({ ok: true, value: { a } });
    expect(await readInputs([`a=${at('a.npy')}`], two)).toEqual({ ok: true, value: { a } });
    expect(await readInputs([`a=${at('a:b.bin')}:float32:-1x2`], two)).toEqual({ ok: true, value: { a } });
  });

  it('are refused where it is not clear which or what they are', async () => {
    const at = folder();
    const cases: readonly (readonly [readonly string[], string])[] = [
      [[at('a.npy')], 'submit.input_unnamed'],
      [[at('both.npz'), `a=${at('a.npy')}`], 'submit.input_twice'],
      [[`a=${at('a:b.bin')}`], 'submit.input_unclear'],
      [[`a=${at('a:b.bin')}:float31:4`], 'tensor_file.description_invalid'],
      [[`a=${at('none.npy')}`], 'submit.file_unreadable'],
    ];
    for (const [specs, code] of cases) {
      const read = await readInputs(specs, two);
      expect(read).toMatchObject({ ok: false, error: { code } });
    }
  });
});
