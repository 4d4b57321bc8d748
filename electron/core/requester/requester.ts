import { randomBytes } from 'node:crypto';
import type { ModelSource } from '#core/compute/port.ts';
import { digestBytes } from '#core/market/wire/digest.ts';
import type { JobRow, JobTerms } from '#core/ledger/requester-jobs.ts';
import { appError } from '#shared/errors.ts';
import type { RequesterEvent } from '#shared/model/events.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { WORK_PROTOCOL, type OfferId } from '#shared/protocol/work-messages.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { DEFAULT_REQUESTER_SETTINGS, type RequesterContext, type RequesterSettings } from './context.ts';
import { converse } from './conversation.ts';
import { watchChannels } from './closing.ts';
import type { Job, JobHandle, RequesterError } from './job.ts';
import { JobRun } from './job-run.ts';

export interface RequesterOptions extends Omit<
  RequesterContext,
  'settings' | 'emit' | 'random' | 'refereePlacement' | 'stopping'
> {
  readonly settings?: Partial<RequesterSettings>;
  /** cpu 0 where absent. */
  readonly refereePlacement?: RequesterContext['refereePlacement'];
  readonly random?: () => number;
  readonly onEvent?: (event: RequesterEvent) => void;
}

export interface UnfinishedJob {
  readonly jobId: string;
  readonly offerId: string;
  readonly state: JobRow['state'];
  readonly terms: JobTerms;
  /** First shard whose outputs the owner has not had for certain. */
  readonly nextDelivery: number;
}

export interface Requester {
  /** Serves the work protocol and watches channels of earlier jobs. */
  start(): Promise<void>;
  /** Publishes a job, or continues the unfinished one of the same id. */
  submit(job: Job): Promise<Result<JobHandle, RequesterError>>;
  /** Jobs of earlier runs that go on when they are submitted again. */
  unfinished(): readonly UnfinishedJob[];
  stop(): Promise<void>;
}

const DAY_MS = 24 * 3_600_000;
const WATCH_MS = 10 * 60_000;

/** The buyer's side of the market: publishes jobs, leases shards, checks answers, pays for the right ones. */
export function createRequester(options: RequesterOptions): Requester {
  return new RequesterAgent(options);
}

class RequesterAgent implements Requester {
  private readonly context: RequesterContext;
  private readonly runs = new Map<OfferId, JobRun>();
  private readonly stopping = new AbortController();
  private watching: Promise<void> = Promise.resolve();

  constructor(options: RequesterOptions) {
    const { settings, onEvent, random, refereePlacement, ...rest } = options;
    this.context = {
      ...rest,
      refereePlacement: refereePlacement ?? { backend: 'cpu', device: 0 },
      random: random ?? Math.random,
      settings: { ...DEFAULT_REQUESTER_SETTINGS, ...settings },
      emit: (event) => onEvent?.(event),
      stopping: this.stopping.signal,
    };
  }

  async start(): Promise<void> {
    await this.context.network.serve({
      protocol: WORK_PROTOCOL,
      maxInboundStreams: LIMITS.work.conversations,
      // Tensors never travel through a relay.
      allowRelayed: false,
      handle: (conversation) => converse(this.context, conversation, (offerId) => this.runs.get(offerId)),
    });
    this.watching = this.watch();
  }

  async submit(job: Job): Promise<Result<JobHandle, RequesterError>> {
    const { ledger, compute, content, refereePlacement } = this.context;
    const digest = digestBytes(job.model);
    const model: ModelSource = { digest, read: async () => job.model };
    const row = this.existing(job, digest);
    if (!row.ok) return row;
    // The referee has to be able to run it, and a model that is refused here would be refused everywhere.
    const prepared = await compute.prepare(model, refereePlacement, this.stopping.signal);
    if (!prepared.ok) return prepared;
    const added = await content.add(job.model, { pin: true });
    if (!added.ok) return added;
    const created = row.value === undefined ? this.create(job, digest, added.value) : ok(row.value);
    if (!created.ok) return created;
    if (this.stopping.signal.aborted) return err(appError('work.stopped', 'The program is stopping.'));
    if (created.value.state === 'paused') ledger.moveJob(job.jobId, 'paused', 'running');
    const run = new JobRun(this.context, ledger.job(job.jobId) ?? created.value, job, model);
    this.runs.set(run.offerId, run);
    run.start();
    return ok(run.handle);
  }

  unfinished(): readonly UnfinishedJob[] {
    return this.context.ledger.unfinishedJobs();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all([...this.runs.values()].map((run) => run.stop()));
    await this.watching;
  }

  /** The unfinished job of this id; an error where it is running, over, or was another job. */
  private existing(job: Job, digest: JobTerms['modelDigest']): Result<JobRow | undefined, RequesterError> {
    const row = this.context.ledger.job(job.jobId);
    if (row === undefined) {
      const least = job.priceWei * (job.checks === 'full' ? 2n : 1n);
      return job.budgetWei < least
        ? err(
            appError('work.budget_too_small', 'The budget does not even pay for one shard.', {
              remedy: 'Raise the budget or lower the price.',
            }),
          )
        : ok(undefined);
    }
    if (this.runs.has(row.offerId) && row.state !== 'finished')
      return err(appError('work.job_running', 'This job is running already.'));
    if (row.state === 'finished')
      return err(appError('work.job_over', 'A job of this id has been finished.', { remedy: 'Choose another id.' }));
    const same =
      row.terms.modelDigest === digest && row.terms.priceWei === job.priceWei && row.terms.checks === job.checks;
    return same
      ? ok(row)
      : err(
          appError('work.job_changed', 'A job of this id was begun with another model, price or check.', {
            remedy: 'Choose another id.',
          }),
        );
  }

  private create(job: Job, modelDigest: JobTerms['modelDigest'], modelCid: string): Result<JobRow, RequesterError> {
    const { ledger, clock } = this.context;
    const terms: JobTerms = {
      modelCid,
      modelDigest,
      modelBytes: job.model.byteLength,
      priceWei: job.priceWei,
      budgetWei: job.budgetWei,
      checks: job.checks,
      tolerance: job.tolerance,
      ...(job.source.count === undefined ? {} : { count: job.source.count }),
      backends: [...(job.backends ?? (['cpu', 'webgpu', 'cuda'] as const))],
      deadline: job.deadline ?? clock.now() + DAY_MS,
    };
    const offerId = randomBytes(16).toString('hex') as OfferId;
    const created = ledger.createJob({ jobId: job.jobId, offerId, terms }, clock.now());
    if (!created.ok) return created;
    const row = ledger.job(job.jobId);
    if (row === undefined) throw new Error('a job just created is not there');
    return ok(row);
  }

  private async watch(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await watchChannels(this.context, signal);
      await this.context.clock.sleep(WATCH_MS, signal);
    }
  }
}
