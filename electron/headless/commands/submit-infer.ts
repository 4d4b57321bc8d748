import { createHash } from 'node:crypto';
import path from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { z } from 'zod';
import { startBuyer } from '#core/buyer.ts';
import { openLogFile } from '#core/obs/logger.ts';
import { loadSettings } from '#core/settings/store.ts';
import { appError } from '#shared/errors.ts';
import type { RequesterEvent } from '#shared/model/events.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { admitModel } from '#shared/onnx/admission.ts';
import { joinBatch, splitBatch } from '#shared/tensor-files/batch.ts';
import { writeNpz } from '#shared/tensor-files/npz.ts';
import { wei } from '#shared/units.ts';
import { formatTokensShort } from '#shared/text/format.ts';
import { PracticeNetwork } from '../practice/practice-network.ts';
import { OutputSpool } from '../submit/output-spool.ts';
import { JobProgress } from '../submit/progress.ts';
import { fileBytes, readInputs } from '../submit/read-inputs.ts';
import { toJson } from '../terminal/output.ts';
import type { CommandContext } from '../program.ts';
import { practiceFaucet } from './parts/faucet.ts';
import { executorFiles } from './parts/layout.ts';
import { loadNetworkFile, PRACTICE } from './parts/network-file.ts';
import { openPurse } from './parts/purse.ts';

const amount = z.string().regex(/^[1-9][0-9]{0,38}$/, 'must be a whole number of the smallest unit');
const flagsSchema = z.object({
  model: z.string(),
  input: z.array(z.string()).min(1),
  output: z.string(),
  network: z.string(),
  batch: z.coerce.number().int().min(1).max(1_000_000),
  checks: z.enum(['full', 'adaptive', 'referee']),
  price: amount,
  budget: amount.optional(),
  tolerance: z.coerce.number().positive().max(1),
});

/** Two peers compute each shard, and a quarrel costs two more. */
const BUDGET_FACTOR = 4n;
type Flags = z.infer<typeof flagsSchema>;

/** Has a model run over inputs by the network, verified and paid; the results as one .npz. */
export async function submitInfer(context: CommandContext, raw: unknown): Promise<void> {
  const { output, paths } = context;
  const flags = flagsSchema.safeParse(raw);
  if (!flags.success) {
    const issue = flags.error.issues[0];
    return output.fail(
      appError('command.invalid_option', `--${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}.`, {
        remedy: 'See: hearth submit infer --help',
      }),
    );
  }
  const prepared = await prepare(flags.data);
  if (!prepared.ok) return output.fail(prepared.error);
  const { model, shards } = prepared.value;
  output.note(`${shards.length} ${shards.length === 1 ? 'shard' : 'shards'} to compute.`);

  const own = await ownPracticeNetwork(context, flags.data.network);
  if (!own.ok) return output.fail(own.error);
  try {
    const networkFile = await loadNetworkFile(flags.data.network, paths);
    if (!networkFile.ok) return output.fail(networkFile.error);
    await buy(context, flags.data, networkFile.value, model, shards);
  } finally {
    await own.value?.stop();
  }
}

/** Everything that can be wrong with model and inputs is said before a network is touched or a coin is spent. */
async function prepare(flags: Flags) {
  const model = await fileBytes(flags.model);
  if (!model.ok) return model;
  const admitted = admitModel(model.value);
  if (!admitted.ok) return admitted;
  const inputs = await readInputs(flags.input, admitted.value.inputs);
  if (!inputs.ok) return inputs;
  const shards = splitBatch(inputs.value, admitted.value.inputs, { rowsPerShard: flags.batch });
  if (!shards.ok) return shards;
  return { ok: true, value: { model: model.value, shards: shards.value } } as const;
}

/** `--network practice` with none running brings one up for the time of the job. */
async function ownPracticeNetwork({ paths, output }: CommandContext, name: string) {
  if (name !== PRACTICE) return { ok: true, value: undefined } as const;
  const running = await loadNetworkFile(PRACTICE, paths);
  if (running.ok && (await answers(running.value.chain.rpcUrls[0] ?? '')))
    return { ok: true, value: undefined } as const;
  const settings = await loadSettings(paths.config);
  if (!settings.ok) return settings;
  output.note('No practice network is running: bringing one up for this job ...');
  const started = await PracticeNetwork.start({
    paths,
    settings: settings.value,
    fresh: false,
    onEvent: () => {},
    onProcess: () => {},
  });
  if (!started.ok) return started;
  const joined = await started.value.addContributor('contributor-1');
  if (joined.ok) return started;
  await started.value.stop();
  return joined;
}

async function answers(url: string): Promise<boolean> {
  try {
    await fetch(url, { method: 'POST', body: '{}', signal: AbortSignal.timeout(2_000) });
    return true;
  } catch {
    return false;
  }
}

async function buy(
  { paths, output }: CommandContext,
  flags: Flags,
  networkFile: Parameters<typeof practiceFaucet>[0],
  model: Uint8Array,
  shards: readonly NamedTensors[],
): Promise<void> {
  const practice = flags.network === PRACTICE;
  const wallet = await openPurse(paths, flags.network);
  if (!wallet.ok) return output.fail(wallet.error);
  if (practice) await practiceFaucet(networkFile, wallet.value.address)();
  const directory = path.join(paths.data, 'networks', networkFile.networkId, 'requester');
  const name = nameOf(flags, model, shards);
  let spool = await OutputSpool.open(path.join(directory, 'outputs'), name);
  if (spool.size > 0) output.note(`Going on where an earlier run was: ${spool.size} of ${shards.length} are there.`);
  const log = openLogFile({ directory: paths.logs, name: 'requester', level: 'info' });
  const { token } = networkFile.chain;
  const progress = output.json ? undefined : new JobProgress(shards.length, token);
  const buyer = await startBuyer({
    directory,
    networkFile,
    wallet: wallet.value,
    executor: executorFiles(),
    threads: 1,
    logger: log.logger,
    local: practice,
    onEvent: (event: RequesterEvent) => {
      if (output.json) process.stdout.write(`${toJson(event)}\n`);
      progress?.heard(event);
    },
  });
  if (!buyer.ok) {
    progress?.close();
    await spool.close();
    await log.close();
    return output.fail(buyer.error);
  }
  const failures: string[] = [];
  const price = BigInt(flags.price);
  const submit = () =>
    buyer.value.requester.submit({
      jobId: spool.jobId,
      model,
      source: { count: shards.length, inputs: (index: number) => shards[index] },
      priceWei: wei(price),
      budgetWei: wei(flags.budget === undefined ? price * BigInt(shards.length) * BUDGET_FACTOR : BigInt(flags.budget)),
      checks: flags.checks,
      tolerance: flags.tolerance,
      onOutput: (index: number, outputs: NamedTensors) => spool.put(index, outputs),
      onFailed: (index: number, code: string) => void failures.push(`shard ${index}: ${code}`),
    });
  try {
    let job = await submit();
    if (!job.ok && job.error.code === 'work.job_over') {
      // An earlier run ended this job (its budget, say) and was stopped before it could tidy up: this is a new one.
      await spool.remove();
      spool = await OutputSpool.open(path.join(directory, 'outputs'), name);
      job = await submit();
    }
    if (!job.ok) return output.fail(job.error);
    const done = await job.value.done;
    progress?.close();
    if (!done.ok) return output.fail(done.error);
    const all = spool.all(shards.length);
    const missing = all.filter((outputs) => outputs === undefined).length;
    if (missing > 0) {
      // The job is over: asked for again, it is done anew.
      await spool.remove();
      return output.fail(shardsFailed(missing, shards.length, failures));
    }
    const joined = joinBatch(all.filter((outputs) => outputs !== undefined));
    if (!joined.ok) return output.fail(joined.error);
    const file = writeNpz(joined.value);
    if (!file.ok) return output.fail(file.error);
    await writeFileAtomic(flags.output, Buffer.from(file.value));
    await spool.remove();
    const summary = done.value;
    output.result({ type: 'submit.done', output: flags.output, ...summary }, () =>
      [
        `Results in ${flags.output}: ${Object.entries(joined.value)
          .map(([name, tensor]) => `${name} ${tensor.dtype} [${tensor.dims.join(', ')}]`)
          .join('; ')}`,
        `${summary.verified} shards verified, ${summary.refused} answers refused, paid ${formatTokensShort(BigInt(summary.paidWei), token.decimals)} ${token.symbol}, ${summary.seconds.toFixed(1)} s`,
      ].join('\n'),
    );
  } finally {
    progress?.close();
    await buyer.value.stop();
    await spool.close();
    await log.close();
  }
}

/** Some of `failures` may have been told to an earlier run only, which was killed. */
function shardsFailed(missing: number, count: number, failures: readonly string[]) {
  const examples = failures.length === 0 ? '' : ` (${failures.slice(0, 3).join('; ')})`;
  return appError(
    'submit.shards_failed',
    `${missing} of ${count} shards could not be computed by anybody${examples}.`,
    { remedy: 'Run the model on this machine to see why; nothing was paid for them.' },
  );
}

/** The same work under the same terms has the same name: submitting it again after a crash goes on with it. */
function nameOf(flags: Flags, model: Uint8Array, shards: readonly NamedTensors[]): string {
  const hash = createHash('sha256')
    .update(model)
    .update(JSON.stringify([flags.checks, flags.price, flags.tolerance, shards.length]));
  for (const shard of shards) {
    for (const [name, tensor] of Object.entries(shard)) hash.update(name).update(tensor.bytes);
  }
  return hash.digest('hex').slice(0, 32);
}
