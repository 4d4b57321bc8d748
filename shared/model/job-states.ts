/**
 * The state machines of paid work as values. docs/state-machines.md draws them and a test holds the two together.
 * The ledger refuses every transition that is not written here, whoever asks for it.
 */
export interface Machine<S extends string> {
  readonly initial: readonly S[];
  readonly transitions: Readonly<Record<S, readonly S[]>>;
}

const machine = <S extends string>(initial: readonly NoInfer<S>[], transitions: Record<S, readonly NoInfer<S>[]>) =>
  ({ initial, transitions }) satisfies Machine<S>;

/** Provider: one lease, from the inputs' arrival to the voucher that pays for it. */
const lease = machine(['granted'], {
  granted: ['running', 'returned', 'expired'],
  /** A shard is in an executor. */
  running: ['computed', 'returned', 'expired'],
  /** Outputs are in the ledger and stay there until the requester has judged them. */
  computed: ['submitted', 'expired', 'abandoned'],
  submitted: ['submitted', 'judged', 'expired', 'abandoned'],
  /** Some or all of its shards have a verdict. */
  judged: ['submitted', 'judged', 'paid', 'refused', 'abandoned'],
  /** A verified voucher covers all that was accepted. */
  paid: [],
  /** Nothing of it was accepted. */
  refused: [],
  expired: [],
  /** Given back undone: the agent stopped or was restarted. */
  returned: [],
  /** The requester did not come back for it in time. */
  abandoned: [],
});

/** Requester: one lease as seen by who granted it. */
const grant = machine(['open'], {
  open: ['answered', 'expired', 'returned'],
  /** Every shard of it has a result or an error. */
  answered: [],
  expired: [],
  returned: [],
});

/** Requester: one shard of a job. */
const shard = machine(['assigned'], {
  /** Was leased and came back without an answer. */
  queued: ['assigned', 'verified', 'failed'],
  assigned: ['queued', 'answered', 'verified', 'failed'],
  /** An answer waits for a second opinion. */
  answered: ['disputed', 'verified', 'failed'],
  /** Two answers differ: the referee decides. */
  disputed: ['verified', 'failed'],
  verified: ['settled'],
  /** Every accepted answer to it is covered by a stored voucher. */
  settled: [],
  failed: [],
});

/** Requester: one provider's answer to one shard. */
const answer = machine(['received', 'agreed', 'trusted', 'checked', 'refused'], {
  received: ['agreed', 'checked', 'trusted', 'refused'],
  /** Another peer's answer is the same within the tolerance. */
  agreed: ['paid'],
  /** The requester computed it itself, with the same outcome. */
  checked: ['paid'],
  /** Not checked: the peer has proven itself, and chance let this one pass. */
  trusted: ['paid'],
  /** Deviant, undecidable or too late: never paid. */
  refused: [],
  paid: [],
});

/** Requester: a job. */
const job = machine(['running'], {
  running: ['paused', 'finishing', 'cancelled'],
  /** Waiting for money, disk or chain; the reason is stored beside. */
  paused: ['running', 'finishing', 'cancelled'],
  /** Every shard is final; channels are being closed. */
  finishing: ['finished'],
  finished: [],
  cancelled: ['finishing'],
});

/** Either side: a payment channel. */
const channel = machine(['opening', 'open'], {
  /** Requester: reserved from the budget before the transaction is sent. */
  opening: ['open', 'closed'],
  open: ['open', 'closing', 'closed'],
  closing: ['closing', 'closed'],
  closed: [],
});

export const MACHINES = { lease, grant, shard, answer, job, channel } as const;
export type MachineName = keyof typeof MACHINES;
export type StateOf<M extends MachineName> = keyof (typeof MACHINES)[M]['transitions'] & string;

export type LeaseState = StateOf<'lease'>;
export type GrantState = StateOf<'grant'>;
export type ShardState = StateOf<'shard'>;
export type AnswerState = StateOf<'answer'>;
export type JobState = StateOf<'job'>;
export type ChannelState = StateOf<'channel'>;

/** Answers that are to be paid for. */
export const ACCEPTED_ANSWERS: readonly AnswerState[] = ['agreed', 'checked', 'trusted'];

/** `from` undefined: the thing comes into being. */
export function isLegal(name: MachineName, from: string | undefined, to: string): boolean {
  const table: Machine<string> = MACHINES[name];
  return from === undefined ? table.initial.includes(to) : (table.transitions[from]?.includes(to) ?? false);
}

export function statesOf<M extends MachineName>(name: M): readonly StateOf<M>[] {
  return Object.keys(MACHINES[name].transitions) as StateOf<M>[];
}

/** True where nothing can follow. */
export function isFinal<M extends MachineName>(name: M, state: StateOf<M>): boolean {
  const table: Machine<string> = MACHINES[name];
  return (table.transitions[state] ?? []).length === 0;
}
