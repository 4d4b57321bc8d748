import { encodeUtf8 } from '../proto/utf8.ts';

/** A node's attribute without its name: ONNX tells 1 from 1.0, so the kind is said. */
export type AttributeValue =
  | { readonly type: 'int' | 'float'; readonly value: number }
  | { readonly type: 'ints' | 'floats'; readonly value: readonly number[] }
  | { readonly type: 'string'; readonly value: Uint8Array };

export type Attributes = Readonly<Record<string, AttributeValue>>;

export const int = (value: number): AttributeValue => ({ type: 'int', value });
export const float = (value: number): AttributeValue => ({ type: 'float', value });
export const ints = (value: readonly number[]): AttributeValue => ({ type: 'ints', value });
export const floats = (value: readonly number[]): AttributeValue => ({ type: 'floats', value });
export const string = (value: string): AttributeValue => ({ type: 'string', value: encodeUtf8(value) });
