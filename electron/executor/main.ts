import { parseArgs } from 'node:util';
import type { Backend } from '#core/compute/port.ts';
import { checkDenials } from './check-denials.ts';
import { describeAdapter } from './describe-adapter.ts';
import { lockDown } from './lock-down.ts';
import { serve } from './serve.ts';
import { ExecutorChannel } from './executor-channel.ts';

/**
 * Entry of the sandboxed process that runs shards. The pool starts it, one per backend and device, with a pipe on
 * descriptor 3; see docs/security.md for what stands around it.
 *
 *   --backend cpu|webgpu|cuda --device N --threads N    serve shards until the pipe closes
 *   --check JSON                                        try what must be denied, print what was, end
 *   --adapter                                           print the WebGPU adapter, end
 */
const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cpu' },
    device: { type: 'string', default: '0' },
    threads: { type: 'string', default: '1' },
    check: { type: 'string' },
    locked: { type: 'boolean', default: false },
    adapter: { type: 'boolean', default: false },
  },
});

if (values.check !== undefined) {
  const attempts: unknown = JSON.parse(values.check);
  if (values.locked) lockDown();
  process.stdout.write(`${JSON.stringify(await checkDenials(attempts))}\n`);
} else if (values.adapter) {
  lockDown();
  process.stdout.write(`${JSON.stringify(await describeAdapter())}\n`);
  // The driver's threads would keep the process alive.
  process.exit(0);
} else {
  const { denyNativeCode } = lockDown();
  // Not before the lock-down: its own imports pass through the hooks too.
  const ort = await import('onnxruntime-node');
  denyNativeCode();
  const settings = {
    backend: values.backend as Backend,
    device: Number(values.device),
    threads: Number(values.threads),
  };
  await serve(new ExecutorChannel(3), ort, settings);
  // Not left to the event loop: a runtime's thread pool must not outlive the agent.
  process.exit(0);
}
