import { existsSync } from 'node:fs';
import path from 'node:path';
import { openLedger } from '#core/ledger/open-ledger.ts';
import { loadSettings } from '#core/settings/store.ts';
import { appError } from '#shared/errors.ts';
import { wei } from '#shared/units.ts';
import { formatTokens, formatTokensShort, shorten } from '#shared/text/format.ts';
import { facts, table } from '../terminal/table.ts';
import type { CommandContext } from '../program.ts';
import { loadNetworkFile } from './parts/network-file.ts';

const SHOWN = 20;

/** Money of this machine on one network, from its own ledger: works while the agent runs, and without the chain. */
export async function earnings(
  { paths, output }: CommandContext,
  options: { readonly network?: string; readonly csv?: boolean },
): Promise<void> {
  const settings = await loadSettings(paths.config);
  if (!settings.ok) return output.fail(settings.error);
  const networkFile = await loadNetworkFile(options.network ?? settings.value.network, paths);
  if (!networkFile.ok) return output.fail(networkFile.error);
  const { networkId, chain } = networkFile.value;
  const file = path.join(paths.data, 'networks', networkId, 'ledger.sqlite');
  if (!existsSync(file)) {
    return output.fail(
      appError('earnings.none', `This machine has not worked for ${networkId} yet.`, {
        remedy: 'Start with: hearth start',
      }),
    );
  }
  const ledger = openLedger(file, 'provider');
  if (!ledger.ok) return output.fail(ledger.error);
  const found = ledger.value.money.earnings();
  ledger.value.close();
  const { symbol, decimals } = chain.token;
  const pendingWei = wei(found.earnedWei > found.settledWei ? found.earnedWei - found.settledWei : 0n);
  const amount = (value: bigint): string => `${formatTokensShort(value, decimals)} ${symbol}`;
  if (options.csv === true) {
    const lines = found.settlements.map((row) =>
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
  output.result({ networkId, token: chain.token, ...found, pendingWei }, () =>
    [
      facts([
        ['Earned', amount(found.earnedWei)],
        ['Settled', `${amount(found.settledWei)} (on chain, yours)`],
        ['Pending', `${amount(pendingWei)} (vouchers, settled by amount and age: hearth settings show)`],
        ['Shards', `${found.accepted} verified, ${found.refused} refused`],
      ]),
      ...(found.settlements.length === 0
        ? []
        : [
            '',
            table(
              ['settled', 'amount', 'transaction'],
              found.settlements
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
