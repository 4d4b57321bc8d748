import { z } from 'zod';

/**
 * What a supervisor and its child processes ("roles") say to each other over Node's IPC channel. Both ends are the same
 * program, yet the child parses too: a child that runs strangers' work is not taken at its word.
 */
export const toRoleSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('start'), config: z.unknown() }),
  /** Do what one would do before stopping (settle, finish), but keep running; answered by `done`. */
  z.object({ kind: z.literal('ask'), id: z.number().int(), what: z.string().max(64), with: z.unknown() }),
  z.object({ kind: z.literal('stop') }),
]);
export type ToRole = z.infer<typeof toRoleSchema>;

const errorSchema = z.object({
  code: z.string().max(128),
  message: z.string().max(4096),
  remedy: z.string().max(4096).optional(),
  data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});

export const fromRoleSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready'), data: z.unknown() }),
  z.object({ kind: z.literal('event'), event: z.looseObject({ type: z.string().max(64) }) }),
  z.object({ kind: z.literal('done'), id: z.number().int(), data: z.unknown() }),
  z.object({ kind: z.literal('failed'), error: errorSchema }),
]);
export type FromRole = z.infer<typeof fromRoleSchema>;
export type RoleEvent = Extract<FromRole, { kind: 'event' }>['event'];
export type RoleFailure = z.infer<typeof errorSchema>;
