import { z } from 'zod';

/** One JSON object a line, in both directions, at most MAX_LINE_BYTES. */
export const MAX_LINE_BYTES = 1024 * 1024;

export const requestSchema = z.object({
  id: z.number().int().nonnegative(),
  call: z.enum(['status', 'settle', 'stop']),
});
export type ControlCall = z.infer<typeof requestSchema>['call'];

export const responseSchema = z.object({ id: z.number().int().nonnegative(), value: z.unknown() });
