import type { ChainError } from '#core/chain/port.ts';
import type { Backend, ComputeError } from '#core/compute/port.ts';
import type { ContentError } from '#core/content/port.ts';
import type { LedgerError } from '#core/ledger/errors.ts';
import type { AppError } from '#shared/errors.ts';
import type { JobSummary } from '#shared/model/events.ts';
import type { JobState } from '#shared/model/job-states.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import type { CheckPolicy } from '#shared/protocol/work-messages.ts';
import type { Result } from '#shared/result.ts';
import type { Wei } from '#shared/units.ts';

export type RequesterErrorCode =
  | 'work.job_running'
  | 'work.job_changed'
  | 'work.job_over'
  | 'work.budget_too_small'
  | 'work.budget_exhausted'
  | 'work.input_changed'
  | 'work.owner_failed'
  | 'work.deadline'
  | 'work.stopped';
export type RequesterError = AppError<RequesterErrorCode> | ChainError | ComputeError | ContentError | LedgerError;

/** Inputs by shard. They are asked for again after a restart or for a check, so the same index gives the same tensors. */
export interface ShardSource {
  /** Shards in all; absent for a job that goes on until `finishUp` or until `inputs` answers undefined. */
  readonly count?: number;
  readonly inputs: (index: number) => NamedTensors | undefined | Promise<NamedTensors | undefined>;
}

export interface Job {
  /** Names the job across restarts: submitting an unfinished one again continues it. */
  readonly jobId: string;
  /** The ONNX file. */
  readonly model: Uint8Array;
  readonly source: ShardSource;
  /** For one accepted answer. Under `full` checks a shard has two. */
  readonly priceWei: Wei;
  /** Neither vouchers nor deposits together ever exceed it. */
  readonly budgetWei: Wei;
  readonly checks: CheckPolicy;
  /** Largest relative L2 distance between two right answers. */
  readonly tolerance: number;
  readonly backends?: readonly Backend[];
  /** Unix milliseconds; a day from now where absent. */
  readonly deadline?: number;
  /** In order of the index, each at least once: after a crash the last few may come again. The next waits for it. */
  readonly onOutput: (index: number, outputs: NamedTensors) => void | Promise<void>;
  /** A shard that no peer and not even this machine can compute takes its turn in the order too. */
  readonly onFailed?: (index: number, code: string) => void | Promise<void>;
}

export interface JobStatus {
  readonly state: JobState;
  readonly verified: number;
  readonly failed: number;
  readonly refused: number;
  readonly inTheAir: number;
  readonly peers: number;
  readonly paidWei: Wei;
}

export interface JobHandle {
  readonly jobId: string;
  readonly offerId: string;
  /** Once every shard is final and paid, and channels are closed or left to the watch. */
  readonly done: Promise<Result<JobSummary, RequesterError>>;
  status(): JobStatus;
  /** No new shards; what is in the air is finished and paid. */
  finishUp(): void;
}
