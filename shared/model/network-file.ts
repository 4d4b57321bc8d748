import { z } from 'zod';
import type { Address } from '../units.ts';

const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, 'must be a 20-byte hexadecimal address')
  .transform((text) => text as Address);

/**
 * All that ties a node to one network: chain, contracts, where to find the first peer. Nothing else in the
 * program names a chain or a host. A user joins another network by giving another file.
 */
export const networkFileSchema = z.object({
  version: z.literal(1),
  /** Distinguishes networks in every signed statement; never reused. */
  networkId: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  chain: z.object({
    chainId: z.number().int().positive().max(Number.MAX_SAFE_INTEGER),
    /** Tried in order; the first that answers is used. */
    rpcUrls: z
      .array(z.url({ protocol: /^https?$/ }))
      .min(1)
      .max(8),
    contracts: z.object({
      token: address,
      identity: address,
      reputation: address,
      channels: address,
    }),
    token: z.object({ symbol: z.string().min(1).max(11), decimals: z.number().int().min(0).max(36) }),
    /** First block worth indexing. */
    deployBlock: z.number().int().nonnegative(),
  }),
  /** Multiaddrs with /p2p/<peer id>. */
  bootstrap: z.array(z.string().max(512)).min(1).max(32),
  /** STUN responders of the network's own relays, "host:port"; never somebody else's server. */
  stun: z.array(z.string().max(256)).max(8),
});

export type NetworkFile = z.infer<typeof networkFileSchema>;
