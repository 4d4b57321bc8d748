import { appError } from '#shared/errors.ts';
import type { AppError } from '#shared/errors.ts';
import type { NetworkError } from './port.ts';

/** The sentences of the network's error family in one place: what happened and why, then what to do. */

export function closedByRemote(detail: string): NetworkError {
  return appError('network.stream_closed', `The peer ended the conversation: ${detail}.`);
}

export function closedHere(): NetworkError {
  return appError('network.stream_closed', 'This conversation was already closed on this side.');
}

export function endedBecause(reason: AppError): NetworkError {
  return appError('network.stream_closed', `The conversation was ended on this side: ${reason.message}`, {
    data: { cause: reason.code },
  });
}

export function frameTooLarge(kind: string, bytes: number, limitBytes: number): NetworkError {
  return appError(
    'network.frame_too_large',
    `A ${kind} frame of ${bytes} bytes is larger than the ${limitBytes} bytes that the protocol allows.`,
    { data: { kind, bytes, limitBytes } },
  );
}

export function frameInvalid(detail: string): NetworkError {
  return appError('network.frame_invalid', `The peer sent bytes that are not a valid frame: ${detail}.`);
}

export function windowExceeded(bytes: number, allowedBytes: number): NetworkError {
  return appError(
    'network.too_many',
    `The peer sent ${bytes} bytes where it had been allowed ${allowedBytes}: it ignores flow control.`,
    { data: { bytes, allowedBytes } },
  );
}

export function timedOut(what: string, timeoutMs: number): NetworkError {
  return appError('network.timeout', `${what} took longer than ${timeoutMs} ms.`, {
    remedy: 'Try again; if it keeps happening, the peer or the connection to it is too slow.',
    data: { timeoutMs },
  });
}

export function cancelled(what: string): NetworkError {
  return appError('network.cancelled', `${what} was cancelled before it finished.`);
}
