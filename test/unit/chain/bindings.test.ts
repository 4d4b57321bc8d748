import { describe, expect, it } from 'vitest';
import { bindingsAreFresh, collectSources, inputHash } from '../../../build/scripts/contracts.ts';
import { contractsInputHash } from '#shared/contracts/generated/input-hash.ts';

describe('the committed contract bindings', () => {
  it('come from the sources, libraries, settings and compiler that are here: run node build/scripts/contracts.ts if not', () => {
    expect(contractsInputHash).toBe(inputHash(collectSources()));
    expect(bindingsAreFresh()).toBe(true);
  });

  it('would be stale after any change of a source, ours or a library’s', () => {
    const sources = collectSources();
    const names = Object.keys(sources);
    expect(names.some((name) => name.startsWith('@openzeppelin/'))).toBe(true);
    const hashes = new Set([inputHash(sources)]);
    for (const name of names) hashes.add(inputHash({ ...sources, [name]: { content: `${sources[name]?.content} ` } }));
    expect(hashes.size).toBe(names.length + 1);
  });
});
