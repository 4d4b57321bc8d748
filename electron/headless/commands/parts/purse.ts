import path from 'node:path';
import { passphraseFromEnvironment, unlockWallet } from '#core/chain/wallet/wallet.ts';
import { practicePurseFromFile, type PurseKey } from '#core/key-file.ts';
import type { Paths } from '#core/settings/paths.ts';
import type { AppError } from '#shared/errors.ts';
import type { Result } from '#shared/result.ts';
import { askSecret } from '../../terminal/ask.ts';

export const PASSPHRASE_VARIABLE = 'HEARTH_WALLET_PASSPHRASE';

export function walletFile(paths: Paths): string {
  return path.join(paths.data, 'wallet.json');
}

/** The passphrase from the environment (services), else from the terminal; undefined where there is neither. */
export async function passphrase(question: string): Promise<string | undefined> {
  return (await passphraseFromEnvironment(PASSPHRASE_VARIABLE)()) ?? askSecret(question);
}

/** The key that is paid: play money needs no passphrase, real money does. */
export function openPurse(paths: Paths, networkName: string): Promise<Result<PurseKey, AppError>> {
  if (networkName === 'practice') return practicePurseFromFile(path.join(paths.data, 'practice-purse.key'));
  return unlockWallet({ file: walletFile(paths), passphrase: () => passphrase('Passphrase of your wallet: ') });
}
