import { appError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { NetworkError } from './port.ts';

/** /hearth/<name>/<major>.<minor>: minors of one major understand each other, majors do not. */
export interface ProtocolId {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
}

const PATTERN = /^\/hearth\/([a-z][a-z0-9-]{0,31})\/(\d{1,4})\.(\d{1,4})$/;

export function parseProtocol(text: string): ProtocolId | undefined {
  const match = PATTERN.exec(text);
  const [, name, major, minor] = match ?? [];
  if (name === undefined || major === undefined || minor === undefined) return undefined;
  return { name, major: Number(major), minor: Number(minor) };
}

/** Every id that a speaker of this one can also speak, newest first: its own minor and the ones below. */
export function spokenBy(text: string): readonly string[] {
  const id = parseProtocol(text);
  if (id === undefined) throw new Error(`"${text}" is not a protocol id of the form /hearth/<name>/<major>.<minor>`);
  const oldest = Math.max(0, id.minor - LIMITS.network.minorVersions);
  return Array.from(
    { length: id.minor - oldest + 1 },
    (_, back) => `/hearth/${id.name}/${id.major}.${id.minor - back}`,
  );
}

/** In words, from the protocols that the peer told with identify. */
export function unsupported(wanted: string, spoken: readonly string[]): NetworkError {
  const ours = parseProtocol(wanted);
  const theirs = spoken
    .map(parseProtocol)
    .filter((id) => id !== undefined)
    .filter((id) => id.name === ours?.name);
  const majors = [...new Set(theirs.map((id) => id.major))].sort((a, b) => a - b);
  const newest = majors.at(-1);
  if (ours === undefined || newest === undefined) {
    return appError('network.protocol_unsupported', `The peer does not offer ${wanted}.`, { data: { wanted } });
  }
  const message = `The peer speaks version ${majors.join(' and ')} of ${ours.name}, this program speaks version ${ours.major}.`;
  const remedy = newest > ours.major ? 'Update this program.' : 'The peer has to update its program.';
  return appError('network.protocol_unsupported', message, { remedy, data: { wanted, theirMajor: newest } });
}
