import { stripVTControlCharacters } from 'node:util';

/** A last column of sentences is not underlined across the whole screen. */
const LAST_RULE = 24;

/** Columns aligned for a terminal; numbers (cells that start with a digit or sign) to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(width(title), ...rows.map((row) => width(row[column] ?? ''))));
  const numeric = head.map(
    (_title, column) => rows.length > 0 && rows.every((row) => /^[<+-]?\s?[\d.]/.test(plain(row[column] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const pad = ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell)));
        return numeric[column] === true ? pad + cell : cell + pad;
      })
      .join('  ')
      .trimEnd();
  return [
    line(head),
    widths.map((size, column) => '─'.repeat(column === head.length - 1 ? Math.min(size, LAST_RULE) : size)).join('  '),
    ...rows.map(line),
  ].join('\n');
}

/** Two columns: a name and what is to be said of it. */
export function facts(pairs: readonly (readonly [string, string])[]): string {
  const longest = Math.max(...pairs.map(([name]) => width(name)));
  return pairs.map(([name, value]) => `${name.padEnd(longest)}  ${value}`).join('\n');
}

function plain(text: string): string {
  return stripVTControlCharacters(text);
}

function width(text: string): number {
  return Array.from(plain(text)).length;
}
