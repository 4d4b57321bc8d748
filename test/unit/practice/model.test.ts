import { describe, expect, it } from 'vitest';
import { CLASSES, drawDigits } from '#core/requester/practice/digits.ts';
import { fitNetwork } from '#core/requester/practice/fit.ts';
import { digestOf, exportNetwork } from '#core/requester/practice/model.ts';
import { bestClass, featureCount, forward, imageFeatures, randomLayers } from '#core/requester/practice/network.ts';
import { admitModel } from '#shared/onnx/admission.ts';

const small = { size: { first: 4, second: 8 }, seed: 5, epochs: 3 };

describe('the practice classifier', () => {
  it('learns: names most of its own training digits rightly after a short fit', () => {
    const digits = drawDigits(300, 1);
    const scores = forward(fitNetwork(digits, small), digits.images);
    const right = digits.labels.filter((label, k) => bestClass(scores, k * CLASSES) === label).length;
    expect(right / digits.labels.length).toBeGreaterThan(0.85);
  });

  it('is the same file after the same fit', () => {
    const digest = (seed: number) => digestOf(exportNetwork(fitNetwork(drawDigits(60, 1), { ...small, seed })));
    expect(digest(5)).toBe(digest(5));
    expect(digest(5)).not.toBe(digest(6));
  });

  it('sees the same in an image wherever its filters are computed by hand', () => {
    const layers = randomLayers(small.size, 1);
    const image = new Float32Array(28 * 28);
    image[14 * 28 + 14] = 1;
    const [first] = layers;
    // One lit pixel puts a flipped copy of each filter around it; pooled blocks hold their largest, rectified value.
    const features = imageFeatures([first!], image);
    const block = [14, 15].flatMap((y) =>
      [14, 15].map((x) => first!.filters[(16 - y) * 5 + (16 - x)]! + first!.bias[0]!),
    );
    expect(features[7 * 14 + 7]).toBeCloseTo(Math.max(0, ...block), 6);
    expect(featureCount(small.size)).toBe(imageFeatures(layers, image).length);
  });

  it('is a model that admission takes, with an open batch', () => {
    const network = fitNetwork(drawDigits(20, 1), { ...small, epochs: 1 });
    const admitted = admitModel(exportNetwork(network));
    expect(admitted).toMatchObject({
      ok: true,
      value: {
        inputs: [{ name: 'images', dims: [-1, 1, 28, 28] }],
        outputs: [{ name: 'logits', dims: [-1, 10] }],
      },
    });
  });
});
