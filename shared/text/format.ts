import type { Wei } from '../units.ts';
import { GiB, KiB, MiB } from '../units.ts';

/**
 * An amount of the smallest unit as a decimal number of whole tokens, exact, without trailing zeros:
 * 1500000000000000000 with 18 decimals is "1.5".
 */
export function formatTokens(amount: Wei | bigint, decimals: number): string {
  const value: bigint = amount;
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '');
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/** At most `places` decimals, rounded down: nobody is shown more than they have. */
export function formatTokensShort(amount: Wei | bigint, decimals: number, places = 4): string {
  if (decimals <= places) return formatTokens(amount, decimals);
  const step = 10n ** BigInt(decimals - places);
  const kept = (amount / step) * step;
  if (kept === 0n && amount > 0n) return `< 0.${'0'.repeat(places - 1)}1`;
  return formatTokens(kept, decimals);
}

export function formatBytes(bytes: number): string {
  if (bytes < KiB) return `${bytes} B`;
  if (bytes < MiB) return `${(bytes / KiB).toFixed(1)} KB`;
  if (bytes < GiB) return `${(bytes / MiB).toFixed(1)} MB`;
  return `${(bytes / GiB).toFixed(1)} GB`;
}

/** 12 ms, 1.5 s, 02:05, 1:02:05. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3_600);
  const clock = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours === 0 ? clock : `${hours}:${clock}`;
}

/** Peer ids, hashes and addresses where the whole would fill the line: both ends stay comparable. */
export function shorten(text: string, head = 6, tail = 4): string {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;
}
