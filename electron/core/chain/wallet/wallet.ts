import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { computeAddress, getAddress, HDNodeWallet, Mnemonic, SigningKey } from 'ethers';
import { appError, type AppError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { Address } from '#shared/units.ts';
import { decryptSecret, encryptSecret, keystoreAddress, STANDARD_SCRYPT_N, type Secret } from './keystore.ts';

export type WalletErrorCode =
  | 'wallet.not_found'
  | 'wallet.exists'
  | 'wallet.damaged'
  | 'wallet.locked'
  | 'wallet.wrong_passphrase'
  | 'wallet.passphrase_too_short'
  | 'wallet.secret_invalid'
  | 'wallet.not_confirmed'
  | 'wallet.disk_failed';
export type WalletError = AppError<WalletErrorCode>;

/** Where a passphrase comes from: a prompt, the environment, later the OS's key store. Undefined: none to be had. */
export type PassphraseSource = () => Promise<string | undefined>;

export interface UnlockedWallet {
  readonly address: Address;
  /** 32 bytes; all zero after `lock`. */
  readonly privateKey: Uint8Array;
  /** Wipes the key from memory. */
  lock(): void;
}

export interface WalletOptions {
  /** Keystore file. */
  readonly file: string;
  readonly passphrase: PassphraseSource;
  /** Cost of guessing the passphrase; the default is the standard, tests take less. */
  readonly scryptN?: number;
}

const MIN_PASSPHRASE_CHARACTERS = 8;
const ENTROPY_BYTES = 16;

/** A passphrase from the environment, for rigs that start without a person. */
export function passphraseFromEnvironment(name = 'HEARTH_WALLET_PASSPHRASE'): PassphraseSource {
  return () => Promise.resolve(process.env[name]);
}

/** Makes a new wallet. The phrase (12 words, BIP-39) is given this once: show it, let the user write it down, forget it. */
export async function createWallet(
  options: WalletOptions,
): Promise<Result<{ readonly address: Address; readonly phrase: string }, WalletError>> {
  const { phrase } = Mnemonic.fromEntropy(randomBytes(ENTROPY_BYTES));
  const written = await writeNew(options, secretFromPhrase(phrase));
  return written.ok ? ok({ address: written.value, phrase }) : written;
}

/** Makes a wallet of a phrase (12 to 24 words) or of a private key (64 hexadecimal digits). */
export async function importWallet(
  options: WalletOptions & { readonly secret: string },
): Promise<Result<{ readonly address: Address }, WalletError>> {
  const secret = parseSecret(options.secret);
  if (!secret) {
    return err(
      appError('wallet.secret_invalid', 'This is neither a recovery phrase nor a private key.', {
        remedy: 'A phrase has 12 to 24 English words, a key 64 hexadecimal digits. Check for a word that is misspelt.',
      }),
    );
  }
  const written = await writeNew(options, secret);
  return written.ok ? ok({ address: written.value }) : written;
}

/** The wallet's address; needs no passphrase. */
export async function walletAddress(file: string): Promise<Result<Address, WalletError>> {
  const text = await readKeystore(file);
  if (!text.ok) return text;
  const address = keystoreAddress(text.value);
  // Keystores spell it in lower case; people compare it with what they were shown when it was made.
  return address === undefined ? err(damaged(file)) : ok(getAddress(address) as Address);
}

/** Opens the wallet for signing. */
export async function unlockWallet(options: WalletOptions): Promise<Result<UnlockedWallet, WalletError>> {
  const secret = await readSecret(options);
  if (!secret.ok) return secret;
  const { address, privateKey } = secret.value;
  return ok({ address, privateKey, lock: () => void privateKey.fill(0) });
}

/**
 * The wallet's secret in clear, for its owner's eyes. `confirm` is asked first, with the address, and must say yes:
 * whoever reads this text owns the money.
 */
export async function exportWallet(
  options: WalletOptions & { readonly confirm: (address: Address) => Promise<boolean> },
): Promise<Result<{ readonly kind: 'phrase' | 'private_key'; readonly text: string }, WalletError>> {
  const address = await walletAddress(options.file);
  if (!address.ok) return address;
  if (!(await options.confirm(address.value))) {
    return err(
      appError('wallet.not_confirmed', 'The secret was not shown, because it was not confirmed.', {
        remedy: 'Confirm when asked; where nobody can be asked: hearth wallet export --yes',
      }),
    );
  }
  const secret = await readSecret(options);
  if (!secret.ok) return secret;
  const { phrase, privateKey } = secret.value;
  const text = phrase ?? `0x${Buffer.from(privateKey).toString('hex')}`;
  privateKey.fill(0);
  return ok({ kind: phrase === undefined ? 'private_key' : 'phrase', text });
}

function secretFromPhrase(phrase: string): Secret {
  const { address, privateKey } = HDNodeWallet.fromPhrase(phrase);
  return { address: address as Address, privateKey: keyBytes(privateKey), phrase };
}

function parseSecret(text: string): Secret | undefined {
  // Long before this bound no phrase and no key is left; the words go through slow hashing.
  if (text.length > 1024) return undefined;
  const words = text.trim().toLowerCase().split(/\s+/).join(' ');
  try {
    if (Mnemonic.isValidMnemonic(words)) return secretFromPhrase(words);
    if (!/^(0x)?[0-9a-f]{64}$/.test(words)) return undefined;
    const privateKey = keyBytes(`0x${words.slice(-64)}`);
    return { address: computeAddress(new SigningKey(privateKey)) as Address, privateKey, phrase: undefined };
  } catch {
    // Zero, or not below the curve's order.
    return undefined;
  }
}

function keyBytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.slice(2), 'hex'));
}

async function readKeystore(file: string): Promise<Result<string, WalletError>> {
  try {
    if ((await stat(file)).size > LIMITS.chain.keystoreBytes) return err(damaged(file));
    return ok(await readFile(file, 'utf8'));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      return err(
        appError('wallet.not_found', 'There is no wallet on this machine yet.', {
          remedy: 'Make one with "hearth wallet create", or bring yours with "hearth wallet import".',
          data: { file },
        }),
      );
    }
    return err(diskFailed(file, error));
  }
}

async function readSecret(options: WalletOptions): Promise<Result<Secret, WalletError>> {
  const text = await readKeystore(options.file);
  if (!text.ok) return text;
  const passphrase = await options.passphrase();
  if (passphrase === undefined) return err(locked());
  const secret = await decryptSecret(text.value, passphrase);
  if (secret === 'damaged') return err(damaged(options.file));
  if (secret === 'wrong_passphrase') {
    return err(
      appError('wallet.wrong_passphrase', 'The passphrase does not open this wallet.', { remedy: 'Try again.' }),
    );
  }
  return ok(secret);
}

async function writeNew(options: WalletOptions, secret: Secret): Promise<Result<Address, WalletError>> {
  try {
    if (await exists(options.file)) return err(alreadyThere(options.file));
    const passphrase = await options.passphrase();
    if (passphrase === undefined) return err(locked());
    if (passphrase.length < MIN_PASSPHRASE_CHARACTERS) {
      return err(
        appError(
          'wallet.passphrase_too_short',
          `The passphrase has fewer than ${MIN_PASSPHRASE_CHARACTERS} characters.`,
          {
            remedy: 'Choose a longer one: it is all that stands between a stolen file and your money.',
          },
        ),
      );
    }
    const text = await encryptSecret(secret, passphrase, options.scryptN ?? STANDARD_SCRYPT_N);
    return (await writeExclusive(options.file, text)) ? ok(secret.address) : err(alreadyThere(options.file));
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return err(diskFailed(options.file, error));
  } finally {
    secret.privateKey.fill(0);
  }
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    (error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    },
  );
}

/** Whole or not at all, readable by its owner only, and never over another wallet. False where one is there. */
async function writeExclusive(file: string, text: string): Promise<boolean> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return await place(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** link(2) fails where the name is taken, rename(2) does not; file systems without hard links have only the latter. */
async function place(temporary: string, file: string): Promise<boolean> {
  try {
    await link(temporary, file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    if (await exists(file)) return false;
    await rename(temporary, file);
    return true;
  }
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error
    ? error.code
    : undefined;
}

function alreadyThere(file: string): WalletError {
  return appError('wallet.exists', 'There is a wallet on this machine already. It is not replaced.', {
    remedy: 'Export it and move its file away first if you really want another.',
    data: { file },
  });
}

function damaged(file: string): WalletError {
  return appError('wallet.damaged', 'The wallet file cannot be read: it is damaged or no keystore.', {
    remedy: 'Move it away and import your recovery phrase.',
    data: { file },
  });
}

function locked(): WalletError {
  return appError('wallet.locked', 'The wallet needs its passphrase, and nobody gave one.', {
    remedy: 'Enter it when asked, or set HEARTH_WALLET_PASSPHRASE.',
  });
}

function diskFailed(file: string, error: unknown): WalletError {
  return appError('wallet.disk_failed', 'The wallet file could not be read or written.', {
    remedy: 'Check that the disk is not full and that the folder belongs to you.',
    data: { file, reason: errnoOf(error) ?? 'unknown' },
  });
}
