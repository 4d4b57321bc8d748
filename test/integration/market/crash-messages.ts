import type { MachineName } from '#shared/model/job-states.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';

export const PRICE = 1000n;

export interface KillPoint {
  readonly machine: MachineName;
  readonly to: string;
  readonly moment: 'before' | 'after';
  /** Counted within one life of the process. */
  readonly nth: number;
}

export interface CrashConfig {
  readonly role: 'provider' | 'requester';
  readonly directory: string;
  readonly networkFile: NetworkFile;
  readonly kill?: KillPoint;
  /** Take no new shards. */
  readonly finish: boolean;
}

export type FromRole =
  { readonly type: 'up' | 'leased' } | { readonly type: 'closed' } | { readonly type: 'done'; readonly ok: boolean };
export interface ToRole {
  readonly type: 'finish';
}
