/** One thing the doctor looked at. `note`: it works, but its owner may want to know; `bad`: work cannot be done. */
export interface Finding {
  readonly about: string;
  readonly state: 'ok' | 'note' | 'bad';
  readonly says: string;
  readonly remedy?: string;
}
