/** Sizes of the result when shapes are broadcast together as in NumPy; undefined where they do not fit. */
export function broadcastDims(...shapes: readonly (readonly number[])[]): number[] | undefined {
  const rank = Math.max(0, ...shapes.map((dims) => dims.length));
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    let size = 1;
    for (const dims of shapes) {
      const dim = dims[axis - rank + dims.length] ?? 1;
      if (dim === 1 || dim === size) continue;
      if (size !== 1) return undefined;
      size = dim;
    }
    result.push(size);
  }
  return result;
}

/** For each element of `to`, row-major, the index of the element of `from` that broadcasting puts there. */
export function broadcastIndices(from: readonly number[], to: readonly number[]): number[] {
  const fromStrides = strides(from);
  const axisStrides = to.map((_, axis) => {
    const own = axis - to.length + from.length;
    return own < 0 || from[own] === 1 ? 0 : (fromStrides[own] ?? 0);
  });
  return stridedIndices(to, axisStrides, 0);
}

/** Row-major strides in elements. */
export function strides(dims: readonly number[]): number[] {
  const result: number[] = Array.from({ length: dims.length }, () => 1);
  for (let axis = dims.length - 2; axis >= 0; axis--) result[axis] = (result[axis + 1] ?? 1) * (dims[axis + 1] ?? 1);
  return result;
}

/** Offsets `start + sum(index[k] * steps[k])` for every index of `dims`, row-major: any slice, transpose or broadcast. */
export function stridedIndices(dims: readonly number[], steps: readonly number[], start: number): number[] {
  let offsets = [start];
  for (const [axis, size] of dims.entries()) {
    const step = steps[axis] ?? 0;
    const longer: number[] = [];
    for (const offset of offsets) for (let k = 0; k < size; k++) longer.push(offset + k * step);
    offsets = longer;
  }
  return offsets;
}
