import type * as Ort from 'onnxruntime-node';
import { KIND } from '#core/compute/wire/frame.ts';
import {
  decodeLoad,
  decodeRun,
  decodeUnload,
  encodeLoaded,
  encodeReady,
  encodeResult,
  type LoadedMessage,
  type ResultMessage,
} from '#core/compute/wire/messages.ts';
import { WireFault } from '#core/compute/wire/fields.ts';
import type { Frame } from '#core/compute/wire/frame.ts';
import { loadSession, type LoadedSession, type RuntimeSettings } from './runtime.ts';
import type { ExecutorChannel } from './executor-channel.ts';

/** Answers every request in the order of its arrival until the agent closes the pipe. */
export async function serve(channel: ExecutorChannel, ort: typeof Ort, settings: RuntimeSettings): Promise<void> {
  const sessions = new Map<number, LoadedSession>();
  channel.write(encodeReady(ort.env.versions.node ?? 'unknown'));
  for (let frame = channel.read(); frame !== undefined; frame = channel.read()) {
    if (frame.kind === KIND.run) channel.write(encodeResult(await run(sessions, frame)));
    else if (frame.kind === KIND.load) channel.write(encodeLoaded(await load(sessions, frame, ort, settings)));
    else if (frame.kind === KIND.unload) await unload(sessions, frame);
    else throw new WireFault(`kind ${frame.kind}`);
  }
}

async function load(
  sessions: Map<number, LoadedSession>,
  frame: Frame,
  ort: typeof Ort,
  settings: RuntimeSettings,
): Promise<LoadedMessage> {
  const { seq, slot, model } = decodeLoad(frame);
  const session = await loadSession(ort, model, settings);
  if ('code' in session) return { seq, outcome: session };
  sessions.set(slot, session);
  return { seq, outcome: { inputs: session.inputs, outputs: session.outputs } };
}

async function run(sessions: ReadonlyMap<number, LoadedSession>, frame: Frame): Promise<ResultMessage> {
  const { seq, slot, inputs, maxOutputBytes } = decodeRun(frame);
  const session = sessions.get(slot);
  if (session === undefined) throw new WireFault(`no session ${slot}`);
  return { seq, ...(await session.run(inputs, maxOutputBytes)) };
}

async function unload(sessions: Map<number, LoadedSession>, frame: Frame): Promise<void> {
  const { slot } = decodeUnload(frame);
  const session = sessions.get(slot);
  sessions.delete(slot);
  await session?.dispose();
}
