import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { computeAddress } from 'ethers';
import { appError, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { Address } from '#shared/units.ts';
import { peerKeyFromBytes, type PeerKey } from './network/peer-key.ts';

export type KeyFileError = AppError<'key.unreadable' | 'key.damaged' | 'key.not_saved'>;

const KEY_BYTES = 32;

/**
 * A secp256k1 key of this machine's own in a file that only its owner can read; made on first use. For keys that must
 * work without a person: the peer's name, and the purse of a practice network. Real money is behind a passphrase.
 */
async function keyFromFile(file: string): Promise<Result<Uint8Array, KeyFileError>> {
  const present = await readKey(file);
  if (!present.ok || present.value !== undefined) return present as Result<Uint8Array, KeyFileError>;
  const key = freshKey();
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(draft, `${key.toString('hex')}\n`, { mode: 0o600, flag: 'wx', flush: true });
    // A link never replaces: of two processes that start at once, one makes the key and the other reads it, whole.
    await link(draft, file);
    return ok(key);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return keyFromFile(file);
    return err(
      appError('key.not_saved', `A key could not be saved (${codeOf(error)}).`, {
        remedy: `Check the free space and the rights of ${path.dirname(file)}.`,
        data: { file },
      }),
    );
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

/** The key behind this node's peer id. */
export async function peerKeyFromFile(file: string): Promise<Result<PeerKey, KeyFileError>> {
  const key = await keyFromFile(file);
  return key.ok ? ok(peerKeyFromBytes(key.value)) : key;
}

export interface PurseKey {
  readonly address: Address;
  readonly privateKey: Uint8Array;
}

/** A purse for play money: no passphrase. Never used on a network that pays for real. */
export async function practicePurseFromFile(file: string): Promise<Result<PurseKey, KeyFileError>> {
  const key = await keyFromFile(file);
  if (!key.ok) return key;
  const address = computeAddress(`0x${Buffer.from(key.value).toString('hex')}`) as Address;
  return ok({ address, privateKey: key.value });
}

async function readKey(file: string): Promise<Result<Buffer | undefined, KeyFileError>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
    await chmod(file, 0o600);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return ok(undefined);
    return err(
      appError('key.unreadable', `The key file could not be read (${codeOf(error)}).`, {
        remedy: `Check that you own ${file}.`,
        data: { file },
      }),
    );
  }
  const key = Buffer.from(text.trim(), 'hex');
  if (key.byteLength === KEY_BYTES && isValid(key)) return ok(key);
  return err(
    appError('key.damaged', 'The key file does not hold a key.', {
      remedy: `Restore ${file} from a backup, or rename it to start with a new key (and a new name in the network).`,
      data: { file },
    }),
  );
}

function freshKey(): Buffer {
  for (;;) {
    const key = randomBytes(KEY_BYTES);
    // All but one in 2^128 are.
    if (isValid(key)) return key;
  }
}

function isValid(key: Uint8Array): boolean {
  try {
    peerKeyFromBytes(key);
    return true;
  } catch {
    return false;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}
