import { describe, expect, it } from 'vitest';
import { facts, table } from '../../../electron/headless/terminal/table.ts';

describe('text in columns', () => {
  it('sets numbers to the right and words to the left, whatever their colour', () => {
    expect(
      table(
        ['name', 'shards'],
        [
          ['a', '7'],
          ['\u001b[32mlonger\u001b[39m', '1,234'],
        ],
      ),
    ).toBe(['name    shards', '──────  ──────', 'a            7', '\u001b[32mlonger\u001b[39m   1,234'].join('\n'));
  });

  it('stands a missing cell, and no rows at all', () => {
    expect(table(['a', 'b'], [['x']])).toBe('a  b\n─  ─\nx');
    expect(table(['a', 'b'], [])).toBe('a  b\n─  ─');
  });

  it('puts names beside what is said of them', () => {
    expect(
      facts([
        ['Now', 'working'],
        ['Earned', '3'],
      ]),
    ).toBe('Now     working\nEarned  3');
  });
});
