import { z } from 'zod';
import { networkFileSchema } from '#shared/model/network-file.ts';

/** What the chain role says when it is ready: the chain's part of a network file, and whether its journal is long. */
export const chainReadySchema = networkFileSchema.shape.chain.extend({ long: z.boolean() });
