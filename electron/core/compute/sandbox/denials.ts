/** What the check asks an executor to try. Everything named here was made by the agent for this one check. */
export interface DenialAttempts {
  readonly loopbackPort: number;
  readonly localSocketPath: string;
  readonly writePath: string;
  readonly removePath: string;
  readonly readPath: string;
  readonly agentPid: number;
}

/** 'allowed', or the code of the error that stopped it. */
export interface DenialOutcomes {
  readonly network: string;
  readonly localSocket: string;
  readonly writeFile: string;
  readonly writeWorkingFolder: string;
  readonly removeFile: string;
  readonly readFile: string;
  readonly spawn: string;
  readonly signal: string;
  /** Names of the environment's variables, never their values. */
  readonly environment: readonly string[];
}
