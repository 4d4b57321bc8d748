import { z } from 'zod';
import type { Hex } from '#shared/units.ts';

/** A JSON-RPC quantity ("0x2a") as a bigint, at most 256 bits. */
export const quantity = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,64}$/)
  .transform(BigInt);

/** A JSON-RPC quantity that fits a number without loss: block numbers, log indexes, Unix seconds. */
export const smallQuantity = quantity.refine((n) => n <= BigInt(Number.MAX_SAFE_INTEGER)).transform(Number);

export const hash32 = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/)
  .transform((text) => text.toLowerCase() as Hex);

export const addressText = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => text as Hex);

export const hexBytes = z
  .string()
  .regex(/^0x([0-9a-fA-F]{2})*$/)
  .transform((text) => text as Hex);

export function toQuantity(n: number | bigint): Hex {
  return `0x${n.toString(16)}`;
}
