import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { limitsPage, renderLimits } from '../../../build/scripts/limits-page.ts';
import { LIMITS } from '#shared/protocol/limits.ts';

describe('docs/limits.md', () => {
  it('is what the limits are', () => {
    expect(readFileSync(limitsPage, 'utf8')).toBe(renderLimits());
  });

  it('leaves none out', () => {
    const count = (value: object): number =>
      Object.values(value).reduce<number>(
        (sum, entry) => sum + (typeof entry === 'number' ? 1 : count(entry as object)),
        0,
      );
    const rows = renderLimits()
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows).toHaveLength(count(LIMITS));
  });
});
