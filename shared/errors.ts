/**
 * One shape for every expected error of every subsystem. It is plain data, so it survives a process hop,
 * a log line and the wire. Each subsystem declares its own family as a union of codes:
 *
 *   type ComputeError = AppError<'compute.deadline' | 'compute.model_refused'>
 *
 * Code reads `code` and `data`; nothing branches on the sentences.
 */
export interface AppError<Code extends string = string> {
  readonly code: Code;
  /** What happened and why, in a sentence a home user understands. */
  readonly message: string;
  /** What the user can do about it; absent where there is nothing to do. */
  readonly remedy?: string;
  /** Values behind the sentence, for scripts and logs. Never a secret. */
  readonly data?: Readonly<Record<string, string | number | boolean>>;
}

export function appError<Code extends string>(
  code: Code,
  message: string,
  extra: Pick<AppError, 'remedy' | 'data'> = {},
): AppError<Code> {
  return { code, message, ...extra };
}

/** Carries an AppError out of places where only throwing is possible (stream callbacks, library hooks). */
export class CodedFault extends Error {
  override readonly name = 'CodedFault';
  readonly error: AppError;

  constructor(error: AppError, options?: ErrorOptions) {
    super(`${error.code}: ${error.message}`, options);
    this.error = error;
  }
}
