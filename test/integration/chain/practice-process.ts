// A practice chain in a process of its own, to be killed: node practice-process.ts DIRECTORY
// Pays out without end and says, after each payment that was answered, where the chain stands.
import { startPracticeChain } from '#core/chain/practice/chain.ts';
import { wei } from '#shared/units.ts';

const started = await startPracticeChain({ directory: process.argv[2] ?? '' });
if (!started.ok) throw new Error(started.error.code);
const practice = started.value;
for (let paid = 1n; ; paid += 1n) {
  await practice.faucet('0x00000000000000000000000000000000000000aa', wei(paid), wei(paid));
  process.stdout.write(`${JSON.stringify(practice.tip())}\n`);
}
