import { mkdirSync } from 'node:fs';
import { Writable } from 'node:stream';
import pino from 'pino';
import { createStream } from 'rotating-file-stream';

export type LogFields = Readonly<Record<string, unknown>>;

/** What a service needs of a log. `child` adds fields to every line. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
}

export interface LogSink {
  readonly logger: Logger;
  /** Waits until everything logged so far is on disk. */
  close(): Promise<void>;
}

/**
 * Field names that never reach a log, at any of the depths that our own objects have. A net under the rule that
 * nobody logs a secret in the first place.
 */
const SECRET_NAMES = ['privateKey', 'secret', 'mnemonic', 'phrase', 'passphrase', 'password', 'seed', 'token'];
const REDACTED = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** 32 bytes of hexadecimal behind a word for a key: what a careless error message of a library could carry. */
const KEY_IN_TEXT = /((?:private ?key|mnemonic|phrase|secret)\W{0,4})(0x)?[0-9a-f]{64}/gi;

export interface LogFileOptions {
  readonly directory: string;
  readonly name: string;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly maxFileSize?: `${number}${'B' | 'K' | 'M'}`;
  readonly keepFiles?: number;
}

/** Structured lines (JSON) in <directory>/<name>.log, rotated by size; the oldest file goes first. */
export function openLogFile(options: LogFileOptions): LogSink {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const stream = createStream(`${options.name}.log`, {
    path: options.directory,
    size: options.maxFileSize ?? '10M',
    rotate: options.keepFiles ?? 5,
    mode: 0o600,
  });
  // A full disk must not stop the work that is being logged.
  stream.on('error', () => {});
  return {
    logger: loggerTo(stream, options.level),
    close: () =>
      new Promise((resolve) => {
        stream.end(() => resolve());
      }),
  };
}

/** Logs to any stream; tests read what would have been written. */
export function loggerTo(stream: Writable, level: LogFileOptions['level']): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, censor: '[secret]' },
      serializers: { err: pino.stdSerializers.err },
    },
    scrubbing(stream),
  );
}

function scrubbing(stream: Writable): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      stream.write(chunk.toString('utf8').replaceAll(KEY_IN_TEXT, '$1[secret]'));
      // Never held up by a slow or full disk; the stream below keeps its own small buffer.
      done();
    },
    final(done) {
      stream.end(done);
    },
  });
}

/** A log for code that runs without one. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
