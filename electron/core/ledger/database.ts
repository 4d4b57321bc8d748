import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import { MACHINES, isLegal, type MachineName, type StateOf } from '#shared/model/job-states.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { ledgerErrorOf, type LedgerError } from './errors.ts';

/** One state change of one thing. `from` undefined: it comes into being. `id` is for observers and logs. */
export type Move<M extends MachineName = MachineName> = {
  [K in M]: {
    readonly machine: K;
    readonly id: string;
    readonly from: StateOf<K> | undefined;
    readonly to: StateOf<K>;
  };
}[M];

/** Sees every transition just before and just after its commit: where crash tests kill the process. */
export type TransitionObserver = (moment: 'before' | 'after', moves: readonly Move[]) => void;

export type Row = Record<string, SQLOutputValue>;

/**
 * One SQLite file and the only way into it. Every change of state passes `transition`, which holds it against the
 * written machines; statements are prepared once. Write-ahead log: a commit survives the death of the process always,
 * and that of the machine where `durable` asks for it (money).
 */
export class Database {
  private readonly db: DatabaseSync;
  private readonly path: string;
  private readonly observer: TransitionObserver | undefined;
  private readonly statements = new Map<string, StatementSync>();
  private synchronous: 'NORMAL' | 'FULL' = 'NORMAL';

  constructor(db: DatabaseSync, path: string, observer: TransitionObserver | undefined) {
    this.db = db;
    this.path = path;
    this.observer = observer;
  }

  /** Runs `write` and the moves in one transaction: all of it or nothing. An illegal move is a fault and throws. */
  transition(
    moves: readonly Move[],
    write: () => void,
    options: { readonly durable?: boolean } = {},
  ): Result<void, LedgerError> {
    for (const { machine, id, from, to } of moves) {
      if (!isLegal(machine, from, to)) throw new IllegalTransition(machine, id, from, to);
    }
    try {
      this.sync(options.durable === true ? 'FULL' : 'NORMAL');
      this.run('BEGIN IMMEDIATE');
      write();
      if (moves.length > 0) this.observer?.('before', moves);
      this.run('COMMIT');
    } catch (fault) {
      if (this.db.isTransaction) this.db.exec('ROLLBACK');
      const error = ledgerErrorOf(fault, this.path);
      if (error === undefined) throw fault;
      return err(error);
    }
    if (moves.length > 0) this.observer?.('after', moves);
    return ok();
  }

  /** A write that changes no state of a machine. */
  write(write: () => void): Result<void, LedgerError> {
    return this.transition([], write);
  }

  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.prepared(sql).run(...values).changes);
  }

  /** For a change that must find exactly one row in the state it names: anything else is a lost update, so a fault. */
  runOne(sql: string, ...values: SQLInputValue[]): void {
    const changed = this.run(sql, ...values);
    if (changed !== 1) throw new Error(`expected to change one row, changed ${changed}: ${sql}`);
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.prepared(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.prepared(sql).all(...values);
  }

  close(): void {
    this.statements.clear();
    if (this.db.isOpen) this.db.close();
  }

  private prepared(sql: string): StatementSync {
    const known = this.statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.db.prepare(sql);
    this.statements.set(sql, statement);
    return statement;
  }

  /** The setting holds for the connection and cannot change inside a transaction. */
  private sync(mode: 'NORMAL' | 'FULL'): void {
    if (this.synchronous === mode) return;
    this.db.exec(`PRAGMA synchronous = ${mode}`);
    this.synchronous = mode;
  }
}

export class IllegalTransition extends Error {
  override readonly name = 'IllegalTransition';

  constructor(machine: MachineName, id: string, from: string | undefined, to: string) {
    const known = Object.keys(MACHINES[machine].transitions).join(', ');
    super(`a ${machine} cannot go from ${from ?? 'nothing'} to ${to} (${id}; states: ${known})`);
  }
}
