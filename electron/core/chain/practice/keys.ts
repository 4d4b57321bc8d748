import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { computeAddress } from 'ethers';
import writeFileAtomic from 'write-file-atomic';
import { z } from 'zod';
import type { Address, Hex } from '#shared/units.ts';

/** Accounts that exist on one practice chain and nowhere else; made at its first start. Their coins are play money. */
export interface PracticeKeys {
  readonly deployer: PracticeAccount;
  readonly faucet: PracticeAccount;
}

export interface PracticeAccount {
  readonly address: Address;
  readonly privateKey: Hex;
}

const FILE = 'keys.json';
const privateKey = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/)
  .transform((text) => text as Hex);
const fileSchema = z.object({ deployer: privateKey, faucet: privateKey });

function account(key: Hex): PracticeAccount {
  return { address: computeAddress(key) as Address, privateKey: key };
}

function freshKey(): Hex {
  // A uniform 32-byte string is outside the curve's order with probability 2^-128.
  return `0x${randomBytes(32).toString('hex')}`;
}

/** Reads the directory's keys, or makes them. Throws where the file is there but is not what this program writes. */
export function practiceKeys(directory: string): PracticeKeys {
  const file = path.join(directory, FILE);
  const text = readIfThere(file);
  const keys = text === undefined ? { deployer: freshKey(), faucet: freshKey() } : fileSchema.parse(JSON.parse(text));
  if (text === undefined) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileAtomic.sync(file, `${JSON.stringify(keys)}\n`, { mode: 0o600 });
  }
  return { deployer: account(keys.deployer), faucet: account(keys.faucet) };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
