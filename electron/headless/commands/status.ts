import type { AgentState } from '#shared/model/state.ts';
import { askAgent } from '../control/client.ts';
import { stateLines } from '../terminal/state-lines.ts';
import type { CommandContext } from '../program.ts';

/** What the running agent says of itself. */
export async function status({ paths, output }: CommandContext): Promise<void> {
  const answer = await askAgent(paths.data, 'status', 5_000);
  if (!answer.ok) return output.fail(answer.error);
  // The agent is this program, behind a socket that only its owner may open.
  const state = answer.value as AgentState | null;
  output.result({ state }, () => (state === null ? 'Starting.' : stateLines(state, Date.now())));
}
