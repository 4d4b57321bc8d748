import type { ComputeError, ModelSource } from '#core/compute/port.ts';
import type { ContentError } from '#core/content/port.ts';
import { parseManifestCid } from '#shared/protocol/content/cid.ts';
import type { ContentFormatError } from '#shared/protocol/content/errors.ts';
import { CodedFault } from '#shared/errors.ts';
import { ok, type Result } from '#shared/result.ts';
import type { ProviderContext } from './context.ts';
import type { OfferEntry } from './policy/choose-offer.ts';

export type ModelError = ContentError | ContentFormatError | ComputeError;

/** Gets an offer's model onto this machine and has it held against its digest, admitted and loaded. */
export async function prepareModel(
  context: ProviderContext,
  { offer, requester }: OfferEntry,
  signal: AbortSignal,
): Promise<Result<ModelSource, ModelError>> {
  const { content, compute, clock, placement } = context;
  const named = parseManifestCid(offer.modelCid);
  if (!named.ok) return named;
  const cid = named.value;
  if (!(await content.has(cid))) {
    const started = clock.now();
    const fetched = await content.fetch(cid, { from: [requester], maxBytes: offer.modelBytes, signal });
    if (!fetched.ok) return fetched;
    context.emit({
      type: 'model.fetched',
      modelCid: cid,
      peerId: requester,
      bytes: offer.modelBytes,
      ms: clock.now() - started,
    });
  }
  const source: ModelSource = {
    digest: offer.modelDigest,
    async read() {
      const bytes = await content.read(cid);
      if (!bytes.ok) throw new CodedFault(bytes.error);
      return bytes.value;
    },
  };
  const prepared = await compute.prepare(source, placement, signal);
  return prepared.ok ? ok(source) : prepared;
}
