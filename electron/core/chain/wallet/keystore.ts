import { scrypt as nodeScrypt } from 'node:crypto';
import { decryptKeystoreJson, encryptKeystoreJson, isError, Mnemonic, scrypt, type KeystoreAccount } from 'ethers';
import { z } from 'zod';
import type { Address } from '#shared/units.ts';

// ethers' own scrypt blocks the event loop for half a second; Node's runs on a thread.
scrypt.register((password, salt, N, r, p, keyBytes) => {
  // scrypt works in 128 * N * r bytes (RFC 7914); Node refuses more than 32 MiB unless told.
  const maxmem = 128 * N * r + 32 * 1024 * 1024;
  return new Promise((resolve, reject) => {
    nodeScrypt(password, salt, keyBytes, { N, r, p, maxmem }, (error, key) => {
      if (error) reject(error);
      else resolve(`0x${key.toString('hex')}`);
    });
  });
});

/** geth's and ethers' standard cost: 128 MiB and a few hundred milliseconds for each guess at the passphrase. */
export const STANDARD_SCRYPT_N = 131_072;
/** A file that asks for more would take this machine's memory, not protect its owner. */
const MAX_SCRYPT_N = 1_048_576;

const hex = z.string().regex(/^[0-9a-fA-F]*$/);
const scryptSchema = z.object({
  n: z.number().int().min(2).max(MAX_SCRYPT_N),
  r: z.number().int().min(1).max(8),
  p: z.number().int().min(1).max(16),
  dklen: z.number().int().min(32).max(64),
  salt: hex.min(16).max(128),
});
/** Web3 Secret Storage, version 3, as geth and ethers write it; names in lower case. */
const keystoreSchema = z.object({
  version: z.literal(3),
  address: hex.length(40),
  crypto: z.object({ kdf: z.literal('scrypt'), kdfparams: scryptSchema }),
});

export interface Secret {
  readonly address: Address;
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
  /** BIP-39 phrase the key was derived from, where the wallet has one. */
  readonly phrase: string | undefined;
}

/** Address a keystore names, without its passphrase; undefined where the text is no keystore this program opens. */
export function keystoreAddress(text: string): Address | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text, lowerCaseKeys);
  } catch {
    return undefined;
  }
  const parsed = keystoreSchema.safeParse(json);
  return parsed.success ? `0x${parsed.data.address.toLowerCase()}` : undefined;
}

/** Some writers say `Crypto` or `kdfParams`. */
function lowerCaseKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.toLowerCase(), inner]));
}

/** Keystore JSON of a secret. `scryptN` below the standard is for tests. */
export async function encryptSecret(secret: Secret, passphrase: string, scryptN: number): Promise<string> {
  const account: KeystoreAccount = {
    address: secret.address,
    privateKey: `0x${Buffer.from(secret.privateKey).toString('hex')}`,
  };
  if (secret.phrase !== undefined) {
    const { entropy } = Mnemonic.fromPhrase(secret.phrase);
    account.mnemonic = { entropy, path: "m/44'/60'/0'/0/0", locale: 'en' };
  }
  return encryptKeystoreJson(account, Buffer.from(passphrase.normalize('NFKC')), {
    scrypt: { N: scryptN, r: 8, p: 1 },
  });
}

/** What the keystore holds; 'wrong_passphrase', or 'damaged' where no passphrase could open it. */
export async function decryptSecret(
  text: string,
  passphrase: string,
): Promise<Secret | 'wrong_passphrase' | 'damaged'> {
  if (keystoreAddress(text) === undefined) return 'damaged';
  try {
    // ethers also holds the address, which stands outside the encryption, against the key.
    const account = await decryptKeystoreJson(text, Buffer.from(passphrase.normalize('NFKC')));
    return {
      address: account.address as Address,
      privateKey: new Uint8Array(Buffer.from(account.privateKey.slice(2), 'hex')),
      phrase: account.mnemonic ? Mnemonic.fromEntropy(account.mnemonic.entropy).phrase : undefined,
    };
  } catch (error) {
    return isError(error, 'INVALID_ARGUMENT') && error.argument === 'password' ? 'wrong_passphrase' : 'damaged';
  }
}
