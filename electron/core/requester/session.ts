import type { Backend } from '#core/compute/port.ts';
import type { WorkLink } from '#core/market/wire/work-link.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { PeerAccount } from './paymaster.ts';

/** One provider in conversation. */
export interface Session {
  readonly peer: PeerIdText;
  readonly link: WorkLink;
  readonly backend: Backend;
  readonly account: PeerAccount;
  /** Wants not served yet, oldest first; each is answered by one lease or one Wait. */
  readonly parked: { readonly maxShards: number; readonly since: number }[];
  /** Errors in a row: a peer that can compute nothing is sent away. */
  errors: number;
  saidLeave: boolean;
  /** A lease is being made for it. */
  serving: boolean;
}
