import { createCompute } from '#core/compute/create-compute.ts';
import { ExecutorSlot } from '#core/compute/pool/executor-slot.ts';
import { ok } from '#shared/result.ts';
import { GiB } from '#shared/units.ts';
import { endlessModel, executorFiles, infoOf, sourceOf } from './compute-models.ts';
import { f32 } from './tensors.ts';

/** An agent whose executor runs a model without end. Prints the executor's process id; somebody will kill the agent. */
const pool = createCompute(executorFiles);
const { tier } = await pool.sandbox();
const slot = new ExecutorSlot({
  files: executorFiles,
  tier,
  placement: { backend: 'cpu', device: 0 },
  threads: 1,
  memoryBytes: GiB,
  sessionsBytes: GiB,
  idleMs: 60_000,
});
const source = sourceOf(endlessModel());
const request = { source, info: infoOf(source), shards: [ok({ x: f32([1]) })], deadlineMs: 60_000, maxOutputBytes: 64 };
const answer = slot.run(request);
const timer = setInterval(() => {
  if (!slot.status().loaded.includes(source.digest)) return;
  clearInterval(timer);
  process.stdout.write(`${slot.status().pid ?? 0}\n`);
}, 5);
await answer;
