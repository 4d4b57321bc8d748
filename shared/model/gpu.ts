/** A GPU as far as this machine tells. What is not known is absent, never zero. */
export interface Gpu {
  /** PCI address, UUID or, failing both, vendor and model with a number; stable while the machine is. */
  readonly id: string;
  readonly vendor: string;
  readonly model: string;
  readonly kind: 'discrete' | 'integrated' | 'virtual' | 'unknown';
  readonly vramBytes?: number;
  readonly driver?: string;
  readonly temperatureC?: number;
  readonly loadPercent?: number;
}

/** The machine beneath the GPUs: what practice runs on, and what limits the rest. */
export interface Host {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
}
