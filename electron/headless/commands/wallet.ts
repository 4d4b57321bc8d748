import { createWallet, exportWallet, importWallet as restoreWallet, walletAddress } from '#core/chain/wallet/wallet.ts';
import { appError } from '#shared/errors.ts';
import { ask, askSecret, canAsk, pipedInput } from '../terminal/ask.ts';
import type { CommandContext } from '../program.ts';
import { passphrase, PASSPHRASE_VARIABLE, walletFile } from './parts/purse.ts';

export async function create({ paths, output }: CommandContext): Promise<void> {
  const file = walletFile(paths);
  const made = await createWallet({ file, passphrase: newPassphrase });
  if (!made.ok) return output.fail(made.error);
  const { address, phrase } = made.value;
  output.result({ address, phrase, file }, () =>
    [
      `Your address  ${address}`,
      '',
      'Your recovery phrase, shown this once:',
      '',
      `  ${phrase}`,
      '',
      'Write it on paper. Whoever has it has your earnings; without it and the passphrase nobody can bring them back.',
    ].join('\n'),
  );
}

export async function importWallet({ paths, output }: CommandContext): Promise<void> {
  const secret = (await pipedInput()) ?? (await askSecret('Recovery phrase or private key: '));
  if (secret === undefined || secret === '') {
    return output.fail(
      appError('wallet.secret_missing', 'There was nothing to import.', {
        remedy: 'Type the phrase when asked, or pipe it in: hearth wallet import < phrase.txt',
      }),
    );
  }
  const restored = await restoreWallet({ file: walletFile(paths), passphrase: newPassphrase, secret });
  if (!restored.ok) return output.fail(restored.error);
  output.result(restored.value, () => `Restored. Your address  ${restored.value.address}`);
}

export async function show({ paths, output }: CommandContext): Promise<void> {
  const address = await walletAddress(walletFile(paths));
  if (!address.ok) return output.fail(address.error);
  output.result({ address: address.value, file: walletFile(paths) }, () => address.value);
}

export async function exportKey({ paths, output }: CommandContext, options: { readonly yes?: boolean }): Promise<void> {
  const exported = await exportWallet({
    file: walletFile(paths),
    passphrase: () => passphrase('Passphrase of your wallet: '),
    confirm: async (address) => {
      if (options.yes === true) return true;
      const answer = await ask(
        `This shows the secret of ${address} on the screen. Whoever sees it can take everything.\nType the last four characters of the address to go on: `,
      );
      return answer?.toLowerCase() === address.slice(-4).toLowerCase();
    },
  });
  if (!exported.ok) return output.fail(exported.error);
  output.result(exported.value, () => exported.value.text);
}

/** Asked twice where a person types it: a slip of the finger would lock the wallet for good. */
async function newPassphrase(): Promise<string | undefined> {
  const first = await passphrase(`A passphrase for this wallet (or set ${PASSPHRASE_VARIABLE}): `);
  if (first === undefined || process.env[PASSPHRASE_VARIABLE] !== undefined || !canAsk()) return first;
  const second = await askSecret('Once more: ');
  if (first === second) return first;
  process.stderr.write('The two differ. ');
  return newPassphrase();
}
