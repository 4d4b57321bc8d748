// Writes docs/limits.md from shared/protocol/limits.ts: every limit with its value and the comment that says why.
// With --check it only says whether the page is what it would write.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { LIMITS } from '../../shared/protocol/limits.ts';
import { formatBytes, formatDuration } from '../../shared/text/format.ts';

const root = path.resolve(import.meta.dirname, '../..');
const source = path.join(root, 'shared/protocol/limits.ts');
export const limitsPage = path.join(root, 'docs/limits.md');

const HEAD = `# Limits

Every bound that a peer, a file, a model or a user's request meets. The numbers live in one place,
\`shared/protocol/limits.ts\`; this page is made from that file (\`node build/run.mjs build/scripts/limits-page.ts\`), and a test
fails when the two differ. What goes over a limit is refused with a coded error; it never costs more than the limit first.
`;

/** The page as it should be. */
export function renderLimits(): string {
  const lines = readFileSync(source, 'utf8').split('\n');
  const place: string[] = [];
  const page: string[] = [HEAD];
  let why = '';
  let inside = false;
  for (const line of lines) {
    if (line.startsWith('export const LIMITS')) inside = true;
    if (!inside) continue;
    const comment = /^\s*\/\*\* (.*?) \*\/$/.exec(line)?.[1];
    if (comment !== undefined) {
      why = comment;
      continue;
    }
    const group = /^\s*(\w+): \{$/.exec(line)?.[1];
    const key = /^\s*(\w+): [^{]+,$/.exec(line)?.[1];
    if (group !== undefined) {
      place.push(group);
      page.push(`\n## ${place.join('.')}\n${why === '' ? '' : `\n${why}\n`}\n| limit | value | why |\n|---|---|---|`);
    } else if (key !== undefined) {
      page.push(`| \`${key}\` | ${display(key, valueAt([...place, key]))} | ${why} |`);
    } else if (/^\s*\},$/.test(line)) {
      place.pop();
    }
    why = '';
  }
  return `${page.join('\n')}\n`;
}

function valueAt(keys: readonly string[]): number {
  let value: unknown = LIMITS;
  for (const key of keys) value = (value as Record<string, unknown>)[key];
  if (typeof value !== 'number') throw new Error(`${keys.join('.')} is not a number`);
  return value;
}

function display(key: string, value: number): string {
  if (/bytes/i.test(key)) return formatBytes(value);
  if (/ms$/i.test(key))
    return value >= 60_000 && value % 60_000 === 0 ? `${value / 60_000} min` : formatDuration(value);
  return value.toLocaleString('en-US');
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const wanted = renderLimits();
  if (process.argv.includes('--check')) process.exitCode = readFileSync(limitsPage, 'utf8') === wanted ? 0 : 1;
  else writeFileSync(limitsPage, wanted);
}
