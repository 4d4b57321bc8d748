import { describe, expect, it } from 'vitest';
import { compareOutputs } from '#shared/model/compare-tensors.ts';
import { bool, f16Bits, f32, f64, i32, i64 } from '#support/tensors.ts';

const TOLERANCE = 1e-5;

describe('compareOutputs', () => {
  it('finds identical answers equal with distance 0', () => {
    expect(compareOutputs({ y: f32([1, -2, 3]) }, { y: f32([1, -2, 3]) }, TOLERANCE)).toEqual({
      equal: true,
      worst: 0,
      tensor: 'y',
    });
  });

  it('finds two empty answers equal', () => {
    expect(compareOutputs({}, {}, 0)).toEqual({ equal: true, worst: 0 });
  });

  it('measures floats by relative L2 distance against the larger norm, the same from both sides', () => {
    const a = { y: f64([3, 4]) };
    const b = { y: f64([3, 4.5]) };
    const expected = 0.5 / Math.hypot(3, 4.5);
    expect(compareOutputs(a, b, 1).worst).toBeCloseTo(expected, 14);
    expect(compareOutputs(b, a, 1).worst).toBeCloseTo(expected, 14);
  });

  it('accepts a distance at the tolerance and refuses one above it', () => {
    const a = { y: f64([1, 0]) };
    const b = { y: f64([1, 0.001]) };
    const { worst } = compareOutputs(a, b, 1);
    expect(compareOutputs(a, b, worst).equal).toBe(true);
    expect(compareOutputs(a, b, worst * 0.999).equal).toBe(false);
  });

  it('names the output that differs most', () => {
    const a = { x: f32([1]), y: f32([1]), z: f32([1]) };
    const b = { x: f32([1.001]), y: f32([1.5]), z: f32([1]) };
    expect(compareOutputs(a, b, TOLERANCE)).toMatchObject({ equal: false, tensor: 'y' });
  });

  it.each([
    ['another name', { y: f32([1]) }, { z: f32([1]) }],
    ['a missing output', { y: f32([1]), z: f32([1]) }, { y: f32([1]) }],
    ['an output more', { y: f32([1]) }, { y: f32([1]), z: f32([1]) }],
    ['another type', { y: f32([1]) }, { y: f64([1]) }],
    ['another shape of the same size', { y: f32([1, 2], [1, 2]) }, { y: f32([1, 2], [2, 1]) }],
    ['bytes that do not fill the shape', { y: f32([1, 2], [3]) }, { y: f32([1, 2], [3]) }],
    ['another integer', { y: i32([1, 2]) }, { y: i32([1, 3]) }],
    ['another 64-bit integer beyond 2^53', { y: i64([2n ** 60n]) }, { y: i64([2n ** 60n + 1n]) }],
    ['another boolean', { y: bool([true]) }, { y: bool([false]) }],
    ['NaN on one side', { y: f32([NaN, 1]) }, { y: f32([0, 1]) }],
    ['NaN at another place', { y: f32([NaN, 1]) }, { y: f32([1, NaN]) }],
    ['an infinity on one side', { y: f32([Infinity, 1]) }, { y: f32([3e38, 1]) }],
    ['infinities of other signs', { y: f32([Infinity]) }, { y: f32([-Infinity]) }],
    ['an inherited name', { toString: f32([1]) }, { y: f32([1]) }],
  ])('refuses %s whatever the tolerance', (_, a, b) => {
    expect(compareOutputs(a, b, 1e9)).toMatchObject({ equal: false, worst: Infinity });
  });

  it('lets NaNs and infinities agree and measures the rest', () => {
    const a = { y: f32([NaN, Infinity, -Infinity, 2]) };
    const b = { y: f32([NaN, Infinity, -Infinity, 2]) };
    expect(compareOutputs(a, b, 0)).toMatchObject({ equal: true, worst: 0 });
    expect(compareOutputs(a, { y: f32([NaN, Infinity, -Infinity, 3]) }, 0).worst).toBeCloseTo(1 / 3, 6);
  });

  it('counts subnormals as zero, since a GPU flushes them', () => {
    expect(compareOutputs({ y: f32([1e-40]) }, { y: f32([0]) }, 0)).toMatchObject({ equal: true, worst: 0 });
    expect(compareOutputs({ y: f32([1e-30]) }, { y: f32([0]) }, 0.5)).toMatchObject({ equal: false, worst: 1 });
  });

  it('counts subnormals as zero beside the smallest normal number too', () => {
    const smallest = 2 ** -126;
    const subnormals = Array.from({ length: 100 }, () => smallest / 2);
    const zeros = subnormals.map(() => 0);
    const a = { y: f32([smallest, ...subnormals]) };
    expect(compareOutputs(a, { y: f32([smallest, ...zeros]) }, 0)).toMatchObject({ equal: true, worst: 0 });
  });

  it('counts -0 and 0 as the same number', () => {
    expect(compareOutputs({ y: f32([-0, 1]) }, { y: f32([0, 1]) }, 0).equal).toBe(true);
  });

  it('does not overflow on the largest doubles', () => {
    expect(compareOutputs({ y: f64([1e308, 1e308]) }, { y: f64([1e308, 0]) }, 1).worst).toBeCloseTo(Math.SQRT1_2, 12);
  });

  it('reads float16: one, minus two, NaN, infinity and the step between neighbours', () => {
    const a = { y: f16Bits([0x3c00, 0xc000, 0x7e00, 0x7c00]) };
    const b = { y: f16Bits([0x3c01, 0xc000, 0x7e01, 0x7c00]) };
    expect(compareOutputs(a, b, 1).worst).toBeCloseTo(2 ** -10 / Math.sqrt(5), 6);
  });

  it('compares bytes that start at an odd address', () => {
    const shifted = new Uint8Array(9);
    shifted.set(f32([1, 2]).bytes, 1);
    const odd = { dtype: 'float32', dims: [2], bytes: shifted.subarray(1) } as const;
    expect(compareOutputs({ y: odd }, { y: f32([1, 2]) }, 0)).toMatchObject({ equal: true, worst: 0 });
  });
});
