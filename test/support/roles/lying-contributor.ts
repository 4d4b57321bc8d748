// A contributor of bad character for the practice network: a whole agent whose every fifth result is a lie. It tells
// by event which inputs it lied about, so that a test can hold every payment against them.
import { createHash } from 'node:crypto';
import type { Compute } from '#core/compute/port.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { startContributor } from '../../../electron/headless/roles/contributor-role.ts';
import { serveRole } from '../../../electron/headless/roles/serve-role.ts';

const LIE_EVERY = 5;

serveRole((config, emit) => {
  let results = 0;
  const lying = (honest: Compute): Compute => ({
    prepare: (model, placement, signal) => honest.prepare(model, placement, signal),
    release: (placement) => honest.release(placement),
    status: () => honest.status(),
    stop: () => honest.stop(),
    run: async (model, batch, options) => {
      const inputs = batch.map(digestOf);
      const ran = await honest.run(model, batch, options);
      if (!ran.ok) return ran;
      const told = ran.value.results.map((result, index) => {
        if (!result.ok) return result;
        results += 1;
        if (results % LIE_EVERY !== 0) return result;
        emit({ type: 'liar.lied', inputs: inputs[index] } as { type: string });
        return { ...result, value: turnedAround(result.value) };
      });
      return { ...ran, value: { ...ran.value, results: told } };
    },
  });
  return startContributor(config, emit, lying);
});

function digestOf(tensors: NamedTensors): string {
  const hash = createHash('sha256');
  for (const [name, tensor] of Object.entries(tensors)) hash.update(name).update(tensor.bytes);
  return hash.digest('hex');
}

/** The opposite of every score: as believable in form as the truth. */
function turnedAround(outputs: NamedTensors): NamedTensors {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => {
      const floats = new Float32Array(tensor.bytes.slice().buffer);
      return [name, { ...tensor, bytes: new Uint8Array(floats.map((value) => 1 - value).buffer) }];
    }),
  );
}
