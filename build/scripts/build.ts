// Builds everything under out/ and shared/contracts/generated that is stale: contracts, practice model, program.
import { spawn } from 'node:child_process';
import path from 'node:path';

const steps = ['contracts.ts', 'practice-models.ts', 'bundle.ts'];
for (const step of steps) {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, step)], { stdio: 'inherit' });
  const code = await new Promise<number>((resolve) => child.on('close', (exit) => resolve(exit ?? 1)));
  if (code !== 0) {
    console.error(`${step} failed`);
    process.exit(code);
  }
}
