import { decodeRequest, encodeResponse, CONTENT_PROTOCOL } from '#shared/protocol/content/messages.ts';
import type { ContentResponse } from '#shared/protocol/content/messages.ts';
import { encodeManifest, leafCount } from '#shared/protocol/content/manifest.ts';
import type { Manifest } from '#shared/protocol/content/manifest.ts';
import { appError } from '#shared/errors.ts';
import type { Conversation } from '#core/network/port.ts';
import { manifestOf } from '#core/content/add.ts';
import { cidOf } from '#core/content/hash.ts';
import type { ManifestCid } from '#core/content/port.ts';
import { bytesSource } from '#core/content/source.ts';
import type { Network } from '#core/network/port.ts';
import { value } from './rig.ts';

export interface Made {
  readonly cid: ManifestCid;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly bytes: Uint8Array;
}

export async function made(bytes: Uint8Array): Promise<Made> {
  const manifest = value(await manifestOf(bytesSource(bytes), new AbortController().signal));
  const manifestBytes = encodeManifest(manifest);
  return { cid: cidOf(manifestBytes), manifest, manifestBytes, bytes };
}

/** What a scripted provider does instead of the right thing; undefined does the right thing. */
export interface Script {
  readonly manifest?: Uint8Array;
  readonly have?: Uint8Array;
  /** Called before a leaf is sent: other bytes to send, or 'die', or a promise to wait for. */
  readonly leaf?: (index: number, count: number) => Uint8Array | 'die' | 'fault' | Promise<'die' | void> | undefined;
  readonly describe?: (conversation: Conversation, id: number) => Promise<boolean>;
}

/** A provider that answers as the script has it and notes which leaves it was asked for. */
export async function scriptedProvider(
  network: Pick<Network, 'serve'>,
  content: Made,
  script: Script = {},
): Promise<number[]> {
  const asked: number[] = [];
  await network.serve({
    protocol: CONTENT_PROTOCOL,
    maxInboundStreams: 64,
    allowRelayed: false,
    async handle(conversation) {
      const send = async (response: ContentResponse): Promise<void> => {
        await conversation.send({ kind: 'control', body: encodeResponse(response) });
      };
      for (;;) {
        const received = await conversation.receive({ timeoutMs: 30_000 });
        if (!received.ok || received.value === undefined) return;
        const request = value(decodeRequest(received.value.body));
        const { id } = request;
        if (request.kind === 'describe') {
          if ((await script.describe?.(conversation, id)) === true) continue;
          const body = script.manifest ?? content.manifestBytes;
          const manifestBytes = request.manifest ? body.byteLength : 0;
          await send({ kind: 'description', id, manifestBytes, have: script.have ?? new Uint8Array() });
          if (request.manifest) await conversation.send({ kind: 'data', body });
          continue;
        }
        for (let index = request.first; index < request.first + request.count; index += 1) {
          asked.push(index);
          const scripted = await script.leaf?.(index, asked.length);
          if (scripted === 'die') {
            conversation.abort(appError('network.stream_closed', 'died'));
            return;
          }
          if (scripted === 'fault') {
            await send({ kind: 'fault', id, code: 'content.unavailable', message: 'no' });
            break;
          }
          await send({ kind: 'leaf', id, index });
          const start = index * content.manifest.leafBytes;
          const body = scripted ?? content.bytes.slice(start, start + content.manifest.leafBytes);
          const sent = await conversation.send({ kind: 'data', body });
          if (!sent.ok) return;
        }
      }
    },
  });
  return asked;
}

export function allLeaves({ manifest }: Made): number[] {
  return Array.from({ length: leafCount(manifest) }, (_, index) => index);
}
