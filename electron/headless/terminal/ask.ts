import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

/** True where a person can be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** A line typed by a person; undefined where nobody is there. Questions go to standard error: output stays clean. */
export async function ask(question: string): Promise<string | undefined> {
  if (!canAsk()) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await lines.question(question)).trim();
  } finally {
    lines.close();
  }
}

/** As `ask`, but what is typed is not shown. */
export async function askSecret(question: string): Promise<string | undefined> {
  if (!canAsk()) return undefined;
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}

const MAX_INPUT_BYTES = 4096;

/** All of standard input when it is piped in, for secrets that must not stand on a command line. */
export async function pipedInput(): Promise<string | undefined> {
  if (process.stdin.isTTY) return undefined;
  let text = '';
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.length > MAX_INPUT_BYTES) return undefined;
  }
  return text.trim();
}
