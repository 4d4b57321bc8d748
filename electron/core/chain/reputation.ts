import { LIMITS } from '#shared/protocol/limits.ts';
import type { Address } from '#shared/units.ts';
import { reputationContract } from './abi.ts';
import { attempt, fail } from './errors.ts';
import type { Reputation } from './port.ts';
import type { ContractReader } from './reader.ts';
import type { TransactionSender } from './transactions.ts';

export interface ReputationOptions {
  readonly reputation: Address;
  readonly reader: ContractReader;
  readonly sender: TransactionSender;
}

/** Scores 0 to 100 go on the chain with two decimals, so that the contract's integer mean keeps them. */
const DECIMALS = 2;

export function createReputation({ reputation, reader, sender }: ReputationOptions): Reputation {
  return {
    summary: (agentId) =>
      attempt(async () => {
        const clients = await reader.read(reputation, reputationContract, 'getClients', [agentId]);
        let count = 0;
        let sum = 0;
        for (let from = 0; from < clients.length; from += LIMITS.chain.reputationClientsPerCall) {
          const some = clients.slice(from, from + LIMITS.chain.reputationClientsPerCall);
          const summary = await reader.read(reputation, reputationContract, 'getSummary', [agentId, some, '', '']);
          const [entries, mean, decimals] = summary;
          count += Number(entries);
          sum += Number(entries) * (Number(mean) / 10 ** Number(decimals));
        }
        // Others may write values on other scales; what is shown stays within ours.
        return { count, score: count === 0 ? undefined : Math.min(100, Math.max(0, sum / count)) };
      }),
    giveFeedback: (feedback) =>
      attempt(async () => {
        if (!(feedback.value >= 0 && feedback.value <= 100)) {
          return fail('chain.reverted', 'A rating is a number from 0 to 100.', { data: { reason: 'InvalidFeedback' } });
        }
        const value = BigInt(Math.round(feedback.value * 10 ** DECIMALS));
        const uri = `hearth:channel:${feedback.channelId}`;
        const data = reputationContract.encode('giveFeedback', [
          feedback.agentId,
          value,
          BigInt(DECIMALS),
          feedback.tag,
          '',
          '',
          uri,
          feedback.evidence,
        ]);
        return (await sender.send({ to: reputation, data })).transactionHash;
      }),
  };
}
