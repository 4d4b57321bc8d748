import { KiB, MiB, GiB } from '../units.ts';

/**
 * Every bound that a peer, a file or a model meets, in one place. docs/limits.md lists them with their reasons;
 * a test holds that page against this file. Names end in their unit.
 */
export const LIMITS = {
  frame: {
    controlBytes: 64 * KiB,
    dataBytes: 1 * MiB,
  },
  content: {
    leafBytes: 1 * MiB,
    fileBytes: 16 * GiB,
  },
  shard: {
    inputBytes: 64 * MiB,
    outputBytes: 64 * MiB,
    perLeaseCount: 256,
  },
} as const;
