import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { loadSettings } from '#core/settings/store.ts';
import { appError } from '#shared/errors.ts';
import { formatBytes, formatTokens } from '#shared/text/format.ts';
import { PracticeNetwork } from '../practice/practice-network.ts';
import { PracticeView } from '../practice/practice-view.ts';
import { toJson } from '../terminal/output.ts';
import { facts } from '../terminal/table.ts';
import { untilStopped } from '../terminal/until-stopped.ts';
import type { CommandContext } from '../program.ts';

const flagsSchema = z.object({
  shards: z.coerce.number().int().min(1).max(1_000_000).optional(),
  contributors: z.coerce.number().int().min(0).max(16),
  requester: z.boolean().default(true),
  fresh: z.boolean().default(false),
});

/** Long enough for every payee to settle and close, and for a killed one to come back and do so. */
const FINISH_MS = 60_000;

const accountSchema = z.object({
  verified: z.number(),
  refused: z.number(),
  failed: z.number(),
  seconds: z.number(),
  bytes: z.number(),
  paidOffChainWei: z.string(),
  paidOnChainWei: z.string(),
});

/** The whole network on this machine, until stopped or until the shards asked for are verified and paid on chain. */
export async function practice({ paths, output }: CommandContext, raw: unknown): Promise<void> {
  const flags = flagsSchema.safeParse(raw);
  if (!flags.success) {
    const issue = flags.error.issues[0];
    return output.fail(
      appError('command.invalid_option', `--${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}.`, {
        remedy: 'See: hearth practice --help',
      }),
    );
  }
  const settings = await loadSettings(paths.config);
  if (!settings.ok) return output.fail(settings.error);

  const view = output.json ? undefined : new PracticeView();
  const line = (data: Readonly<Record<string, unknown>>): void => {
    if (output.json) process.stdout.write(`${toJson(data)}\n`);
  };
  const finished = Promise.withResolvers<void>();
  const stop = untilStopped();
  view?.say('Starting the chain and the relay ...');
  const started = await PracticeNetwork.start({
    paths,
    settings: settings.value,
    fresh: flags.data.fresh,
    onEvent: (role, event) => {
      line({ role, ...event });
      view?.heard(role, event);
      if (event.type === 'job.finished' || event.type === 'practice.failed') finished.resolve();
    },
    onProcess: (event) => {
      line({ ...event });
      view?.process(event);
    },
  });
  if (!started.ok) {
    stop.forget();
    view?.close();
    return output.fail(started.error);
  }
  const network = started.value;
  line({ type: 'network.ready', ...network.networkFile });
  if (view !== undefined) view.network = network.networkFile;
  if (network.long) output.note('The practice chain has grown long; starts are quicker after: hearth practice --fresh');

  view?.say("Starting a requester and this machine's agent ...");
  const names = Array.from({ length: flags.data.contributors }, (_unused, index) => `contributor-${index + 1}`);
  const joins = [
    ...names.map((name) => network.addContributor(name)),
    ...(flags.data.requester ? [network.addRequester({ jobId: randomUUID(), shards: flags.data.shards })] : []),
  ];
  const failed = (await Promise.all(joins)).find((join) => !join.ok);
  if (failed !== undefined && !failed.ok) {
    await network.stop();
    stop.forget();
    view?.close();
    return output.fail(failed.error);
  }

  view?.say('Ctrl-C stops all of it, and settles what is owed.');
  await Promise.race([stop.asked, ...(flags.data.shards === undefined ? [] : [finished.promise])]);
  view?.say('Stopping: finishing what has begun, settling what is owed ...');
  const account = flags.data.requester ? accountSchema.safeParse(await network.finish(FINISH_MS)) : undefined;
  await network.stop();
  stop.forget();
  view?.close();
  if (account === undefined) return;
  if (!account.success) {
    return output.fail(
      appError('practice.no_account', 'The requester did not say in time what was paid.', {
        remedy: 'Nothing is lost: vouchers are stored and settled at the next start.',
      }),
    );
  }
  const { paidOffChainWei, paidOnChainWei, verified, refused, bytes, seconds } = account.data;
  const summary = {
    type: 'practice.summary',
    shards: flags.data.shards ?? verified,
    verified,
    refused,
    paidOffChainWei,
    paidOnChainWei,
    bytes,
    seconds,
  };
  const { decimals, symbol } = network.networkFile.chain.token;
  output.result(summary, () =>
    facts([
      ['Verified', `${verified} shards, ${refused} answers refused, in ${seconds.toFixed(1)} s, ${formatBytes(bytes)}`],
      ['Promised', `${formatTokens(BigInt(paidOffChainWei), decimals)} ${symbol} in vouchers`],
      ['Paid', `${formatTokens(BigInt(paidOnChainWei), decimals)} ${symbol} on chain`],
    ]),
  );
  if (paidOffChainWei !== paidOnChainWei || (flags.data.shards !== undefined && verified !== flags.data.shards)) {
    output.fail(
      appError(
        'practice.amounts_differ',
        'What was promised, what was paid on chain, and what was asked for are not the same.',
        {
          remedy: 'Vouchers are stored and settled at the next start.',
          data: { paidOffChainWei, paidOnChainWei, verified },
        },
      ),
    );
  }
}
