// Runs a program under Hearth's Node in this terminal: same input and output, signals passed on, same exit code.
import { spawn } from 'node:child_process';
import path from 'node:path';

/**
 * @param {string} node
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<number>} exit code; 128 + signal number when a signal ended it
 */
export function handOver(node, args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, [...args], {
      stdio: 'inherit',
      // Whatever the program starts in turn finds this Node first.
      env: { ...env, PATH: `${path.dirname(node)}${path.delimiter}${env['PATH'] ?? ''}` },
    });
    /** @type {NodeJS.Signals[]} */
    const passedOn = ['SIGTERM', 'SIGHUP'];
    for (const signal of passedOn) process.on(signal, () => child.kill(signal));
    // Ctrl-C reaches the whole foreground group by itself: only stay alive until the program has stopped cleanly.
    process.on('SIGINT', () => {});
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)));
  });
}
