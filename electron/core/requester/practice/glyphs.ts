/** A point in the unit square, y downwards. */
export type Point = readonly [x: number, y: number];
/** Pen strokes as chains of points. */
export type Glyph = readonly (readonly Point[])[];

/** Part of an ellipse; angles in turns, 0 to the right, growing clockwise. */
function arc(cx: number, cy: number, rx: number, ry: number, from: number, to: number): Point[] {
  const steps = Math.max(3, Math.ceil(Math.abs(to - from) * 14));
  return Array.from({ length: steps + 1 }, (_, k) => {
    const angle = 2 * Math.PI * (from + ((to - from) * k) / steps);
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)] as const;
  });
}

const rest = (...points: readonly Point[]): readonly Point[] => points;

/**
 * The digits as people draw them, up to three ways each: a one with and without its flag and foot, an open and a
 * closed four, a seven with its bar.
 */
export const GLYPHS: readonly (readonly Glyph[])[] = [
  [[arc(0.5, 0.5, 0.34, 0.48, 0, 1)], [arc(0.5, 0.5, 0.26, 0.48, 0, 1)]],
  [
    [rest([0.5, 0.02], [0.5, 0.98])],
    [rest([0.3, 0.22], [0.54, 0.02], [0.54, 0.98])],
    [rest([0.3, 0.2], [0.52, 0.02], [0.52, 0.98]), rest([0.28, 0.98], [0.76, 0.98])],
  ],
  [
    [[...arc(0.5, 0.28, 0.32, 0.26, 0.5, 1.08), [0.18, 0.98], [0.86, 0.98]]],
    [[...arc(0.5, 0.28, 0.32, 0.26, 0.55, 1.12), ...arc(0.32, 0.87, 0.13, 0.1, 0.7, 0.1), [0.86, 0.96]]],
  ],
  [
    [[...arc(0.46, 0.26, 0.32, 0.24, 0.58, 1.22), ...arc(0.44, 0.73, 0.36, 0.25, 0.78, 1.42)]],
    [rest([0.18, 0.03], [0.8, 0.03], [0.46, 0.42]), arc(0.44, 0.7, 0.36, 0.28, 0.78, 1.42)],
  ],
  [
    [rest([0.66, 0.98], [0.66, 0.02], [0.12, 0.66], [0.9, 0.66])],
    [rest([0.24, 0.04], [0.18, 0.54], [0.84, 0.54]), rest([0.7, 0.1], [0.66, 0.98])],
  ],
  [
    [[[0.82, 0.03], [0.26, 0.03], [0.22, 0.45], ...arc(0.46, 0.68, 0.36, 0.29, 0.68, 1.4)]],
    [rest([0.26, 0.05], [0.22, 0.44]), arc(0.46, 0.69, 0.36, 0.29, 0.68, 1.4), rest([0.26, 0.05], [0.84, 0.05])],
  ],
  [
    [[[0.72, 0.03], [0.4, 0.24], [0.2, 0.58], ...arc(0.5, 0.71, 0.32, 0.27, 0.55, 1.6)]],
    [[[0.6, 0.02], [0.24, 0.6], ...arc(0.5, 0.72, 0.28, 0.26, 0.5, 1.52)]],
  ],
  [
    [rest([0.14, 0.04], [0.86, 0.04], [0.4, 0.98])],
    [rest([0.14, 0.04], [0.86, 0.04], [0.42, 0.98]), rest([0.32, 0.5], [0.82, 0.5])],
  ],
  [
    [arc(0.5, 0.26, 0.27, 0.24, 0, 1), arc(0.5, 0.74, 0.34, 0.25, 0, 1)],
    [arc(0.5, 0.27, 0.24, 0.25, 0, 1), arc(0.5, 0.75, 0.28, 0.23, 0, 1)],
  ],
  [
    [arc(0.48, 0.3, 0.31, 0.28, 0, 1), rest([0.79, 0.3], [0.76, 0.64], [0.6, 0.98])],
    [arc(0.48, 0.3, 0.31, 0.28, 0, 1), [[0.79, 0.3], ...arc(0.49, 0.7, 0.3, 0.28, 0, 0.42)]],
  ],
];
