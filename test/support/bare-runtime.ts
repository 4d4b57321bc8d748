import * as ort from 'onnxruntime-node';

/**
 * The runtime in a bare loop, in a process of its own: what the path through the port is measured against. The same
 * session options as an executor's. Speaks over the IPC channel of child_process.fork with advanced serialization.
 */
export interface BareRequest {
  readonly model: Uint8Array;
  readonly input: Float32Array;
  readonly dims: readonly number[];
  readonly threads: number;
  readonly shards: number;
}

export interface BareAnswer {
  readonly elapsedMs: number;
}

const sessions = new Map<string, ort.InferenceSession>();

async function sessionOf({ model, threads }: BareRequest): Promise<ort.InferenceSession> {
  const key = Buffer.from(model).toString('base64');
  const session =
    sessions.get(key) ??
    (await ort.InferenceSession.create(model, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    }));
  sessions.set(key, session);
  return session;
}

async function loop(request: BareRequest): Promise<BareAnswer> {
  const session = await sessionOf(request);
  const feeds = { x: new ort.Tensor('float32', request.input, request.dims) };
  const started = performance.now();
  for (let i = 0; i < request.shards; i += 1) await session.run(feeds);
  return { elapsedMs: performance.now() - started };
}

process.on('message', (request: BareRequest) => {
  void loop(request).then((answer) => process.send?.(answer));
});
