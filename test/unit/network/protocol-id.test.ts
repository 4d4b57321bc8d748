import { describe, expect, it } from 'vitest';
import { parseProtocol, spokenBy, unsupported } from '#core/network/protocol-id.ts';

describe('protocol ids', () => {
  it('are name, major and minor', () => {
    expect(parseProtocol('/hearth/work/1.12')).toEqual({ name: 'work', major: 1, minor: 12 });
  });

  it.each(['/hearth/work/1', '/hearth/Work/1.0', '/ipfs/id/1.0.0', '/hearth/work/1.0/x', 'hearth/work/1.0', ''])(
    'refuse %j',
    (text) => {
      expect(parseProtocol(text)).toBeUndefined();
    },
  );

  it('include the older minors of the same major, newest first', () => {
    expect(spokenBy('/hearth/work/2.3')).toEqual([
      '/hearth/work/2.3',
      '/hearth/work/2.2',
      '/hearth/work/2.1',
      '/hearth/work/2.0',
    ]);
  });

  it('bound how many minors back are spoken', () => {
    expect(spokenBy('/hearth/work/1.500')).toHaveLength(17);
  });

  it('throw for what is no protocol id of ours', () => {
    expect(() => spokenBy('/ipfs/id/1.0.0')).toThrow(/not a protocol id/);
  });
});

describe('a peer without a common version', () => {
  it('with a newer major is answered with the advice to update', () => {
    const error = unsupported('/hearth/work/1.0', ['/hearth/work/2.0', '/hearth/work/2.1', '/hearth/content/1.0']);
    expect(error).toMatchObject({
      code: 'network.protocol_unsupported',
      message: 'The peer speaks version 2 of work, this program speaks version 1.',
      remedy: 'Update this program.',
    });
  });

  it('with an older major has to update itself', () => {
    expect(unsupported('/hearth/work/2.0', ['/hearth/work/1.4']).remedy).toBe('The peer has to update its program.');
  });

  it('that does not know the protocol at all is told apart', () => {
    const error = unsupported('/hearth/work/1.0', ['/ipfs/id/1.0.0']);
    expect(error.message).toBe('The peer does not offer /hearth/work/1.0.');
    expect(error.remedy).toBeUndefined();
  });
});
