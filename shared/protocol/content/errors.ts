import { appError } from '../../errors.ts';
import type { AppError } from '../../errors.ts';

/** Why a name or a manifest is not what the specification says. See docs/protocol/content.md, "Errors". */
export type ContentFormatError = AppError<
  'content.cid_invalid' | 'content.manifest_invalid' | 'content.message_invalid'
>;

export function cidInvalid(detail: string): ContentFormatError {
  return appError('content.cid_invalid', `This is not the name of content: ${detail}.`, {
    remedy: 'Copy the whole name; it begins with "bafyrei" and has 59 characters.',
  });
}

export function manifestInvalid(detail: string): ContentFormatError {
  return appError('content.manifest_invalid', `The list of this content's pieces is not valid: ${detail}.`, {
    remedy: 'Ask whoever made the content to publish it again.',
  });
}

export function messageInvalid(detail: string): ContentFormatError {
  return appError(
    'content.message_invalid',
    `The peer sent a message that the content protocol does not know: ${detail}.`,
  );
}
