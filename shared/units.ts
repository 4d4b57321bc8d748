declare const unit: unique symbol;

type Branded<T, Name extends string> = T & { readonly [unit]: Name };

/** Smallest unit of the pay token or of the chain's coin. Always a bigint; TEXT in the ledger, decimal strings in JSON. */
export type Wei = Branded<bigint, 'wei'>;

export function wei(amount: bigint): Wei {
  return amount as Wei;
}

/** 0x-prefixed lower-case hexadecimal. */
export type Hex = `0x${string}`;

/** 20-byte EVM address, 0x-prefixed, checksummed or lower case: compare with `sameAddress`. */
export type Address = Hex;

export function sameAddress(a: Address, b: Address): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** libp2p peer id in its text form (base58btc or base36 CID). */
export type PeerIdText = Branded<string, 'peer id'>;

export function peerIdText(text: string): PeerIdText {
  return text as PeerIdText;
}

/** Lower-case hexadecimal SHA-256 of a byte sequence, 64 characters, no prefix. */
export type Sha256Hex = Branded<string, 'sha256'>;

export function sha256Hex(text: string): Sha256Hex {
  return text as Sha256Hex;
}

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
