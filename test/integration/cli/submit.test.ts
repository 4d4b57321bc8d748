import { createHash } from 'node:crypto';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import type { NamedTensors, Tensor } from '#shared/model/tensor.ts';
import { writeNpy } from '#shared/tensor-files/npy.ts';
import { readNpz, writeNpz } from '#shared/tensor-files/npz.ts';
import { ensureBuilt, errorOf, Hearth, hearth } from '#support/cli.ts';
import { goodModel } from '#support/onnx-models.ts';
import { hostileModels } from '#support/hostile-models.ts';
import { hasMnist, MNIST_MODEL, mnistTestSet, SHARED_DATA } from '#support/mnist.ts';
import { tempDir } from '#support/temp-dir.ts';
import { f32 } from '#support/tensors.ts';

beforeAll(ensureBuilt, 120_000);

/** Of the 10,000 test digits: as many as two cores do in a few seconds. */
const DIGITS = 300;
const FACE_MODEL = path.join(SHARED_DATA, 'models/ultraface-rfb-320.onnx');
const MAX_BYTES = 1 << 30;

function file(folder: string, name: string, bytes: Uint8Array): string {
  const full = path.join(folder, name);
  writeFileSync(full, bytes);
  return full;
}

function npz(tensors: NamedTensors): Uint8Array {
  const written = writeNpz(tensors);
  if (!written.ok) throw new Error(written.error.message);
  return written.value;
}

function results(from: string): NamedTensors {
  const read = readNpz(readFileSync(from), MAX_BYTES);
  if (!read.ok) throw new Error(read.error.message);
  return read.value;
}

/** Row by row, as shards are: what the runtime itself says, in a session like an executor's. */
async function bare(model: string, input: Tensor): Promise<ReadonlyMap<string, Buffer>> {
  const session = await ort.InferenceSession.create(model, { executionProviders: ['cpu'], intraOpNumThreads: 1 });
  const [name = ''] = session.inputNames;
  const [rows = 0, ...dims] = input.dims;
  const floats = new Float32Array(input.bytes.slice().buffer);
  const size = floats.length / rows;
  const outputs = new Map<string, Buffer[]>(session.outputNames.map((output) => [output, []]));
  for (let row = 0; row < rows; row += 1) {
    const feed = new ort.Tensor('float32', floats.slice(row * size, (row + 1) * size), [1, ...dims]);
    const answer = await session.run({ [name]: feed });
    for (const [output, parts] of outputs) {
      const data = answer[output]?.data as Float32Array;
      parts.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    }
  }
  return new Map([...outputs].map(([output, parts]) => [output, Buffer.concat(parts)]));
}

function digest(bytes: Uint8Array | undefined): string {
  return createHash('sha256')
    .update(bytes ?? new Uint8Array())
    .digest('hex');
}

function accuracy(scores: Uint8Array, labels: Uint8Array): number {
  const values = new Float32Array(Uint8Array.from(scores).buffer);
  const right = labels.filter((label, row) => {
    const own = values.subarray(row * 10, row * 10 + 10);
    return own.indexOf(Math.max(...own)) === label;
  });
  return right.length / labels.length;
}

function someDigits(count: number): { readonly images: Tensor; readonly labels: Uint8Array } {
  const { images, labels } = mnistTestSet();
  const bytes = images.bytes.slice(0, count * 28 * 28 * 4);
  return { images: { ...images, dims: [count, 1, 28, 28], bytes }, labels: labels.slice(0, count) };
}

describe('hearth submit infer', () => {
  it.skipIf(!hasMnist)(
    `reads ${DIGITS} digits as the bare runtime does, and goes on after a kill (needs ../shared/data)`,
    { timeout: 150_000 },
    async () => {
      const home = tempDir();
      const { images, labels } = someDigits(DIGITS);
      const input = file(home, 'digits.npz', npz({ Input3: images }));
      const output = path.join(home, 'scores.npz');
      const args = ['submit', 'infer', '--model', MNIST_MODEL, '--input', input, '--output', output];

      const killed = new Hearth(args, { home });
      await killed.until(() => killed.of('shard.verified').length >= 20);
      killed.kill('SIGKILL');
      await killed.ended;
      expect(existsSync(output)).toBe(false);
      while (killed.survivors().length > 0) await new Promise((done) => setTimeout(done, 100));

      const run = new Hearth(args, { home });
      const ended = await run.ended;
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(run.of('submit.done')[0]).toMatchObject({ verified: DIGITS, refused: 0, failed: 0, output });
      // Some of them were done before the kill, and are not done again.
      expect(run.of('shard.verified').length).toBeLessThan(DIGITS);
      expect(run.survivors()).toEqual([]);

      const scores = results(output)['Plus214_Output_0'];
      const expected = (await bare(MNIST_MODEL, images)).get('Plus214_Output_0') ?? Buffer.alloc(0);
      expect(scores?.dims).toEqual([DIGITS, 10]);
      expect(digest(scores?.bytes)).toBe(digest(expected));
      expect(accuracy(scores?.bytes ?? Buffer.alloc(0), labels)).toBe(accuracy(expected, labels));
    },
  );

  it.skipIf(!existsSync(FACE_MODEL))(
    'looks for faces as the bare runtime does, beside a running practice network (needs ../shared/data)',
    { timeout: 90_000 },
    async () => {
      const home = tempDir();
      const pixels = Float32Array.from(
        { length: 2 * 3 * 240 * 320 },
        (_unused, i) => Math.sin(i / 97) * Math.cos(i / 7),
      );
      const faces = f32([...pixels], [2, 3, 240, 320]);
      const input = file(home, 'faces.npy', writeNpy(faces));
      const output = path.join(home, 'faces.npz');
      const network = new Hearth(['practice', '--no-requester'], { home });
      await network.until(() => network.of('agent.state').length > 0);

      const run = new Hearth(['submit', 'infer', '--model', FACE_MODEL, '--input', input, '--output', output], {
        home,
      });
      expect(await run.ended).toMatchObject({ code: 0, stderr: '' });
      const expected = await bare(FACE_MODEL, faces);
      const got = results(output);
      expect(Object.keys(got).sort()).toEqual(['boxes', 'scores']);
      for (const name of ['boxes', 'scores']) expect(digest(got[name]?.bytes)).toBe(digest(expected.get(name)));
      expect(got['boxes']?.dims).toEqual([2, 4420, 4]);

      network.kill('SIGTERM');
      expect(await network.ended).toMatchObject({ code: 0 });
      expect(network.survivors()).toEqual([]);
    },
  );

  it('says what is wrong with model or inputs before it starts anything', { timeout: 60_000 }, async () => {
    const folder = tempDir();
    const model = file(folder, 'good.onnx', goodModel());
    const [hostile] = hostileModels();
    const cut = file(folder, 'cut.onnx', goodModel());
    truncateSync(cut, 40);
    const wrong = file(folder, 'wrong.npy', writeNpy(f32([1, 2, 3], [3])));
    const junk = file(folder, 'junk.npz', Buffer.from('not a zip'));
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ['submit.file_unreadable', ['--model', path.join(folder, 'none.onnx'), '--input', wrong]],
      ['admission.malformed', ['--model', cut, '--input', wrong]],
      [
        hostile?.code ?? '',
        ['--model', file(folder, 'hostile.onnx', hostile?.bytes ?? Buffer.alloc(0)), '--input', wrong],
      ],
      ['submit.file_unreadable', ['--model', model, '--input', path.join(folder, 'none.npy')]],
      ['tensor_file.', ['--model', model, '--input', junk]],
      ['tensor_file.', ['--model', model, '--input', `nobody=${wrong}`]],
      ['command.invalid_option', ['--model', model, '--input', wrong, '--price', '-1']],
      ['command.invalid_option', ['--model', model, '--input', wrong, '--checks', 'none']],
    ];
    const home = path.join(folder, 'home');
    for (const [code, args] of cases) {
      const run = new Hearth(['submit', 'infer', ...args], { home });
      const ended = await run.ended;
      expect(ended.code).toBe(1);
      expect(errorOf(ended).code).toContain(code);
      expect(errorOf(ended).remedy).not.toBe('');
      expect(run.survivors()).toEqual([]);
    }
    expect(existsSync(home)).toBe(false);
    const missing = await hearth(['submit', 'infer', '--input', wrong]);
    expect(missing).toMatchObject({ code: 1, stdout: '' });
    expect(missing.stderr).toContain('--model');
  });
});
