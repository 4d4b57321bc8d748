import path from 'node:path';
import { z } from 'zod';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { Result } from '#shared/result.ts';
import type { ContentError } from '../port.ts';
import { Serial } from '../serial.ts';
import type { Files } from './files.ts';
import { guarded } from './guard.ts';

const recordSchema = z.object({
  version: z.literal(1),
  totalBytes: z.number().int().min(0).max(LIMITS.content.fileBytes),
  complete: z.boolean(),
  pinned: z.boolean(),
  /** Unix milliseconds. */
  usedAt: z.number().int().nonnegative(),
});

/** What the store knows of an entry without opening it. Written last, it is what makes a folder an entry. */
export type EntryRecord = Readonly<z.infer<typeof recordSchema>>;

const NAME = 'entry.json';
const MAX_BYTES = 4096;

/** The record of one entry in memory and on disk; the disk is written first. */
export class RecordFile {
  readonly #files: Files;
  readonly #folder: string;
  readonly #serial = new Serial();
  #value: EntryRecord;

  constructor(files: Files, folder: string, value: EntryRecord) {
    this.#files = files;
    this.#folder = folder;
    this.#value = value;
  }

  get value(): EntryRecord {
    return this.#value;
  }

  /** Waits for the changes asked for so far. */
  settled(): Promise<void> {
    return this.#serial.run(async () => undefined);
  }

  change(patch: Partial<Omit<EntryRecord, 'version'>>): Promise<Result<void, ContentError>> {
    return this.#serial.run(() =>
      guarded(this.#folder, 'to note the state of content', async () => {
        const next = { ...this.#value, ...patch };
        await writeRecord(this.#files, this.#folder, next);
        this.#value = next;
      }),
    );
  }
}

export async function writeRecord(files: Files, folder: string, record: EntryRecord): Promise<void> {
  await files.replace(path.join(folder, NAME), new TextEncoder().encode(JSON.stringify(record)));
}

/** Undefined where there is none, or none that this version understands. */
export async function readRecord(files: Files, folder: string): Promise<EntryRecord | undefined> {
  const bytes = await files.readSmall(path.join(folder, NAME), MAX_BYTES);
  if (bytes === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  return recordSchema.safeParse(json).data;
}

/** Done first when an entry is deleted: what a crash leaves behind is then swept, not mistaken for content. */
export async function removeRecord(files: Files, folder: string): Promise<void> {
  await files.remove(path.join(folder, NAME));
}
