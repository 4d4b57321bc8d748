import type { AppError } from '#shared/errors.ts';

/** Where a command's words go: sentences for a person, or one JSON object a line for a script. */
export interface Output {
  readonly json: boolean;
  /** A result. In JSON mode the object, else the text. */
  result(data: Readonly<Record<string, unknown>>, text: () => string): void;
  /** Something on the way, on standard error; silent in JSON mode. */
  note(text: string): void;
  /** A failure, in both modes with its code; the command's exit code becomes 1. */
  fail(error: AppError): void;
}

export interface Streams {
  readonly out: { write(text: string): unknown };
  readonly err: { write(text: string): unknown };
}

export function createOutput(json: boolean, streams: Streams = { out: process.stdout, err: process.stderr }): Output {
  return {
    json,
    result: (data, text) => {
      streams.out.write(json ? `${toJson(data)}\n` : `${text()}\n`);
    },
    note: (text) => {
      if (!json) streams.err.write(`${text}\n`);
    },
    fail: (error) => {
      process.exitCode = 1;
      if (json) streams.out.write(`${toJson({ error })}\n`);
      else streams.err.write(`${sentence(error)}\n`);
    },
  };
}

/** What happened, what to do, and the code to search for. */
export function sentence(error: AppError): string {
  return [error.message, error.remedy, `[${error.code}]`].filter((part) => part !== undefined && part !== '').join(' ');
}

/** Amounts are bigint inside and decimal strings in JSON, where a number would lose digits. */
export function toJson(data: unknown): string {
  return JSON.stringify(data, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
}
