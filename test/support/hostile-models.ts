import { damaged, headers } from './hostile-models/files.ts';
import type { HostileModel } from './hostile-models/hostile.ts';
import { sizes } from './hostile-models/sizes.ts';
import { controlFlow, functions } from './hostile-models/subgraphs.ts';
import { weights } from './hostile-models/weights.ts';
import { wiring } from './hostile-models/wiring.ts';

export type { HostileModel } from './hostile-models/hostile.ts';

/** Each is refused by admission alone, before any runtime. Made once, on first use. */
export function hostileModels(): readonly HostileModel[] {
  made ??= [...damaged(), ...headers(), ...functions(), ...controlFlow(), ...weights(), ...wiring(), ...sizes()];
  return made;
}

let made: readonly HostileModel[] | undefined;
