import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { openLedger } from '#core/ledger/open-ledger.ts';
import type { Earnings } from '#core/ledger/provider-money.ts';
import type { Paths } from '#core/settings/paths.ts';
import { loadSettings } from '#core/settings/store.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { ok, type Result } from '#shared/result.ts';
import { wei } from '#shared/units.ts';
import { formatTokens, formatTokensShort, shorten } from '#shared/text/format.ts';
import { facts, table } from '../terminal/table.ts';
import type { CommandContext } from '../program.ts';
import { lastPracticeNetworkFile, loadNetworkFile, practiceFolder, PRACTICE } from './parts/network-file.ts';

const SHOWN = 20;

/** Money of this machine on one network, from its own ledger: works while the agent runs, and without the chain. */
export async function earnings(
  { paths, output }: CommandContext,
  options: { readonly network?: string; readonly csv?: boolean },
): Promise<void> {
  const settings = await loadSettings(paths.config);
  if (!settings.ok) return output.fail(settings.error);
  const name = options.network ?? settings.value.network;
  const last = lastPracticeNetworkFile(paths);
  // A practice network that has stopped has still paid.
  const networkFile = await loadNetworkFile(name === PRACTICE && existsSync(last) ? last : name, paths);
  if (!networkFile.ok) return output.fail(networkFile.error);
  const { networkId, chain } = networkFile.value;
  const found = gather(ledgersOf(paths, networkId));
  if (!found.ok) return output.fail(found.error);
  if (found.value === undefined) {
    return output.fail(
      appError('earnings.none', `This machine has not worked for ${networkId} yet.`, {
        remedy: 'Start with: hearth start',
      }),
    );
  }
  const { symbol, decimals } = chain.token;
  const { earnedWei, settledWei, accepted, refused, settlements } = found.value;
  const pendingWei = wei(earnedWei > settledWei ? earnedWei - settledWei : 0n);
  const amount = (value: bigint): string => `${formatTokensShort(value, decimals)} ${symbol}`;
  if (options.csv === true) {
    const lines = settlements.map((row) =>
      [
        new Date(row.settledAt).toISOString(),
        formatTokens(row.paidWei, decimals),
        symbol,
        row.transactionHash ?? '',
        row.channelId,
      ].join(','),
    );
    output.result({ csv: lines }, () => ['time,amount,token,transaction,channel', ...lines].join('\n'));
    return;
  }
  output.result({ networkId, token: chain.token, ...found.value, pendingWei }, () =>
    [
      facts([
        ['Earned', amount(earnedWei)],
        ['Settled', `${amount(settledWei)} (on chain, yours)`],
        ['Pending', `${amount(pendingWei)} (vouchers, settled by amount and age: hearth settings show)`],
        ['Shards', `${accepted} verified, ${refused} refused`],
      ]),
      ...(settlements.length === 0
        ? []
        : [
            '',
            table(
              ['settled', 'amount', 'transaction'],
              settlements
                .slice(0, SHOWN)
                .map((row) => [
                  new Date(row.settledAt).toISOString().slice(0, 16).replace('T', ' '),
                  formatTokensShort(row.paidWei, decimals),
                  shorten(row.transactionHash === '' ? 'seen on chain' : row.transactionHash, 10, 6),
                ]),
            ),
          ]),
    ].join('\n'),
  );
}

/** Of `hearth start`, and of the contributors that `hearth practice` runs itself. */
function ledgersOf(paths: Paths, networkId: string): readonly string[] {
  const practice = path.join(practiceFolder(paths), networkId);
  const contributors = existsSync(practice)
    ? readdirSync(practice).filter((name) => name.startsWith('contributor-'))
    : [];
  return [path.join(paths.data, 'networks', networkId), ...contributors.map((name) => path.join(practice, name))]
    .map((folder) => path.join(folder, 'ledger.sqlite'))
    .filter((file) => existsSync(file));
}

/** All of them together; undefined where there is none. */
function gather(files: readonly string[]): Result<Earnings | undefined, AppError> {
  let sum: Earnings | undefined;
  for (const file of files) {
    const ledger = openLedger(file, 'provider');
    if (!ledger.ok) return ledger;
    const one = ledger.value.money.earnings();
    ledger.value.close();
    sum = sum === undefined ? one : together(sum, one);
  }
  return ok(sum);
}

function together(a: Earnings, b: Earnings): Earnings {
  return {
    earnedWei: wei(a.earnedWei + b.earnedWei),
    settledWei: wei(a.settledWei + b.settledWei),
    accepted: a.accepted + b.accepted,
    refused: a.refused + b.refused,
    settlements: [...a.settlements, ...b.settlements].toSorted((x, y) => y.settledAt - x.settledAt),
  };
}
