import { GLYPHS, type Point } from './glyphs.ts';
import { Random } from './random.ts';

/** Images are square, one channel, row-major, 0 (paper) to 1 (ink). */
export const IMAGE_SIDE = 28;
export const IMAGE_PIXELS = IMAGE_SIDE * IMAGE_SIDE;
export const CLASSES = 10;

export interface Digits {
  /** `count` images of IMAGE_PIXELS. */
  readonly images: Float32Array;
  readonly labels: Uint8Array;
}

/**
 * Draws `count` random digits. Every image is moved, turned, slanted, scaled and drawn with its own pen and paper
 * grain; `words` (seed, purpose, index ...) decide all of it, so both sides of a check can draw the same.
 */
export function drawDigits(count: number, ...words: readonly number[]): Digits {
  const random = new Random(...words);
  const images = new Float32Array(count * IMAGE_PIXELS);
  const labels = new Uint8Array(count);
  for (let k = 0; k < count; k++) {
    const label = random.below(CLASSES);
    labels[k] = label;
    drawDigit(images.subarray(k * IMAGE_PIXELS, (k + 1) * IMAGE_PIXELS), label, random);
  }
  return { images, labels };
}

function drawDigit(image: Float32Array, label: number, random: Random): void {
  const forms = GLYPHS[label] ?? [];
  const glyph = forms[random.below(forms.length)] ?? [];
  const place = placement(random);
  const radius = random.between(0.7, 1.9);
  const ink = random.between(0.75, 1);
  for (const stroke of glyph) {
    const points = stroke.map((point) => place(point, random));
    for (const [k, from] of points.entries()) drawSegment(image, from, points[k + 1] ?? from, radius, ink);
  }
  addGrain(image, random.between(0, 0.08), random);
}

/** Paper grain; one random word serves four pixels. */
function addGrain(image: Float32Array, grain: number, random: Random): void {
  let word = 0;
  for (let pixel = 0; pixel < image.length; pixel++) {
    word = pixel % 4 === 0 ? random.uint32() : word >>> 8;
    const noisy = (image[pixel] ?? 0) + grain * ((word & 0xff) / 255 - 0.3);
    image[pixel] = Math.min(1, Math.max(0, noisy));
  }
}

/** A random affine map from the unit square to pixels; each point is off by a trembling hand. */
function placement(random: Random): (point: Point, random: Random) => Point {
  const angle = random.between(-0.26, 0.26);
  const slant = random.between(-0.25, 0.25);
  const width = random.between(12, 19);
  const height = random.between(16, 22);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const centreX = IMAGE_SIDE / 2 - 0.5 + random.between(-2.5, 2.5);
  const centreY = IMAGE_SIDE / 2 - 0.5 + random.between(-2.5, 2.5);
  return ([x, y], hand) => {
    const v = (y - 0.5) * height;
    const u = (x - 0.5) * width - slant * v;
    return [
      centreX + u * cos - v * sin + hand.between(-0.3, 0.3),
      centreY + u * sin + v * cos + hand.between(-0.3, 0.3),
    ];
  };
}

/** Ink falls off over one pixel at the pen's edge; only the pixels around the segment are visited. */
function drawSegment(image: Float32Array, from: Point, to: Point, radius: number, ink: number): void {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const lengthSquared = dx * dx + dy * dy;
  const reach = radius + 1;
  const clip = (at: number): number => Math.min(IMAGE_SIDE - 1, Math.max(0, at));
  const [left, right] = [
    clip(Math.ceil(Math.min(from[0], to[0]) - reach)),
    clip(Math.floor(Math.max(from[0], to[0]) + reach)),
  ];
  const [top, bottom] = [
    clip(Math.ceil(Math.min(from[1], to[1]) - reach)),
    clip(Math.floor(Math.max(from[1], to[1]) + reach)),
  ];
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const along = lengthSquared === 0 ? 0 : ((x - from[0]) * dx + (y - from[1]) * dy) / lengthSquared;
      const nearest = Math.min(1, Math.max(0, along));
      const [ox, oy] = [x - from[0] - nearest * dx, y - from[1] - nearest * dy];
      const strength = ink * Math.min(1, Math.max(0, radius + 0.5 - Math.sqrt(ox * ox + oy * oy)));
      const pixel = y * IMAGE_SIDE + x;
      if (strength > (image[pixel] ?? 0)) image[pixel] = strength;
    }
  }
}
