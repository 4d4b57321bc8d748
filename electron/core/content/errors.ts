import { appError } from '#shared/errors.ts';
import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import type { ContentError } from './port.ts';

/** The sentences of the content family in one place: what happened and why, then what to do. */

export function notFound(cid: ManifestCid): ContentError {
  return appError('content.not_found', 'This content is not, or not yet completely, on this machine.', {
    remedy: 'Fetch it first.',
    data: { cid },
  });
}

export function tooLarge(cid: ManifestCid | undefined, totalBytes: number, maxBytes: number): ContentError {
  return appError(
    'content.too_large',
    `The content has ${totalBytes} bytes, more than the ${maxBytes} bytes allowed here.`,
    { data: { totalBytes, maxBytes, ...(cid === undefined ? {} : { cid }) } },
  );
}

export function overBudget(neededBytes: number, budgetBytes: number): ContentError {
  return appError(
    'content.over_budget',
    `The content folder may hold ${budgetBytes} bytes, and ${neededBytes} more find no room: the rest is pinned or in use.`,
    {
      remedy: 'Allow the content folder more room in the settings, or remove content that is no longer needed.',
      data: { neededBytes, budgetBytes },
    },
  );
}

export function damaged(cid: ManifestCid, leaf: number): ContentError {
  return appError(
    'content.damaged',
    'The disk gave back other bytes than were stored, so that part of the content was thrown away.',
    {
      remedy: 'Fetch the content again, which replaces only the damaged part. If it happens again, check the disk.',
      data: { cid, leaf },
    },
  );
}

export function wrongBytes(cid: ManifestCid, leaf: number): ContentError {
  return appError('content.wrong_bytes', 'The bytes are not the ones that the content is made of.', {
    data: { cid, leaf },
  });
}

export function sourceChanged(): ContentError {
  return appError('content.source_changed', 'The file or the memory changed while it was being added.', {
    remedy: 'Add it again when nothing writes to it any more.',
  });
}

export function sourceUnreadable(path: string, systemCode: string): ContentError {
  return appError('content.source_unreadable', `The file could not be read (${systemCode}).`, {
    remedy: `Check that ${path} is a file and that you may read it.`,
    data: { path, systemCode },
  });
}

export function rangeInvalid(offset: number, length: number, totalBytes: number): ContentError {
  return appError(
    'content.range_invalid',
    `Bytes ${offset} to ${offset + length} were asked for, and the content has ${totalBytes}.`,
    { data: { offset, length, totalBytes } },
  );
}

export function diskFull(folder: string): ContentError {
  return appError('content.disk_full', 'The disk is full, so the content could not be stored. Nothing was damaged.', {
    remedy: `Free some space on the disk of ${folder}; what was already fetched is kept and continued.`,
    data: { folder },
  });
}

export function diskFailed(folder: string, systemCode: string, doing: string): ContentError {
  return appError('content.disk_failed', `The disk refused ${doing} (${systemCode}).`, {
    remedy: `Check that ${folder} exists, that you may write there, and that the disk is well.`,
    data: { folder, systemCode },
  });
}

export function noProvider(cid: ManifestCid, asked: number, doneBytes: number): ContentError {
  return appError(
    'content.no_provider',
    asked === 0
      ? 'Nobody was found who has this content.'
      : `None of the ${asked} peers that were asked could give all of this content.`,
    {
      remedy: 'Try again later: what has come so far is kept.',
      data: { cid, asked, doneBytes },
    },
  );
}

export function cancelled(): ContentError {
  return appError('content.cancelled', 'It was cancelled before it finished; what has come so far is kept.');
}

export function stopped(): ContentError {
  return appError('content.stopped', 'The content service has been stopped.');
}
