import type { StoredResult } from '#core/ledger/provider-leases.ts';
import type { LeaseId, ResultItem, WorkMessage } from '#shared/protocol/work-messages.ts';
import { Packer } from './pack.ts';

export interface ResultsMessage {
  readonly message: WorkMessage;
  readonly payload: readonly Uint8Array[];
}

/** Results of a lease as messages within the bounds: usually one. */
export function packResults(leaseId: LeaseId, results: readonly StoredResult[]): readonly ResultsMessage[] {
  const messages: ResultsMessage[] = [];
  let packer = new Packer();
  let items: ResultItem[] = [];
  let payload: Uint8Array[] = [];
  const flush = () => {
    if (items.length > 0)
      messages.push({ message: { kind: 'results', body: { leaseId, layouts: packer.layouts, items } }, payload });
    packer = new Packer();
    items = [];
    payload = [];
  };
  for (const { index, code, layout, digest, computeMicros, outputs } of results) {
    const bytes = outputs.reduce((sum, part) => sum + part.byteLength, 0);
    let number = packer.add(layout, bytes);
    if (number === undefined) {
      flush();
      number = packer.add(layout, bytes) ?? 0;
    }
    items.push({ index, code, layout: number, ...(digest === undefined ? {} : { digest }), computeMicros });
    payload.push(...outputs);
  }
  flush();
  return messages;
}
