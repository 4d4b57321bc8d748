import { z } from 'zod';

/** Amounts of the pay token's smallest unit cross JSON as decimal strings. */
const amount = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,77})$/, {
    error: 'must be a whole number of the smallest unit, as a string',
    // What comes after would throw on other text.
    abort: true,
  })
  .refine((text) => BigInt(text) < 1n << 128n, 'is larger than any channel can hold');

const port = z.number().int().min(0).max(65_535);

/**
 * Everything a user may set. Every field has a default, so an empty file is a valid one and a new version can add
 * fields without a migration. Unknown fields are refused: a typing mistake must not pass for a setting.
 */
export const settingsSchema = z.strictObject({
  version: z.literal(1).default(1),
  /** 'practice', or the path of a network file. */
  network: z.string().min(1).max(4096).default('practice'),
  compute: z
    .strictObject({
      backend: z.enum(['auto', 'cpu', 'webgpu', 'cuda']).default('auto'),
      device: z.number().int().min(0).max(63).default(0),
      /** CPU threads a shard may use; 0 leaves half of the cores to the owner. */
      threads: z.number().int().min(0).max(256).default(0),
      /** Ceiling of one executor process. */
      memoryMiB: z.number().int().min(256).max(1_048_576).default(4096),
    })
    .prefault({}),
  market: z
    .strictObject({
      /** Offers below this price a shard are left alone. */
      minPriceWei: amount.default('0'),
      /** Work done but not yet paid for, beyond which no more is asked for. */
      creditShards: z.number().int().min(1).max(100_000).default(512),
      creditWei: amount.default('1000000000000000000'),
    })
    .prefault({}),
  settlement: z
    .strictObject({
      /** Settle on chain once this much is owed ... */
      amountWei: amount.default('1000000000000000000'),
      /** ... or once the oldest unsettled voucher is this old. */
      ageMinutes: z.number().int().min(1).max(43_200).default(60),
    })
    .prefault({}),
  storage: z.strictObject({ contentGiB: z.number().int().min(1).max(16_384).default(20) }).prefault({}),
  listen: z
    .strictObject({
      tcpPort: port.default(0),
      wsPort: port.default(0),
      /** Ask the router to open the ports. */
      upnp: z.boolean().default(true),
    })
    .prefault({}),
  metrics: z.strictObject({ enabled: z.boolean().default(false), port: port.default(9464) }).prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
});

export type Settings = z.infer<typeof settingsSchema>;

export function defaultSettings(): Settings {
  return settingsSchema.parse({});
}
