/** Digits for Figure 3: MNIST at half its size, or digits that the library draws. */
import { flatData, type HostArray, hostArray, key, orThrow } from '../../autodiff/index.js';
import { type ImageDataset, loadDataset, resizeBilinear } from '../../data/index.js';
import { type Batch, SIDE } from './model.js';

const DRAWN_KEY = key(17);

/** [n, 28, 28] → [n, 14, 14], each pixel the mean of four. */
export function halved(images: HostArray): HostArray {
  const [count = 0] = images.shape;
  const from = flatData(images);
  const out = new Float32Array(count * SIDE * SIDE);
  for (let i = 0; i < out.length; i++) {
    const [n, y, x] = [Math.floor(i / SIDE ** 2), Math.floor(i / SIDE) % SIDE, i % SIDE];
    const at = ((n * SIDE + y) * 2 * SIDE + x) * 2;
    const below = at + 2 * SIDE;
    const sum = [at, at + 1, below, below + 1].reduce((s, p) => s + (from[p] as number), 0);
    out[i] = sum / 4;
  }
  return hostArray(out, [count, SIDE, SIDE]);
}

/** 0 … 1 as −1 … 1, which is what diffusion models see. */
const centred = (images: HostArray): HostArray =>
  hostArray(
    Float32Array.from(flatData(images), (x) => 2 * x - 1),
    images.shape,
  );

const batchOf = ({ images, labels }: ImageDataset): Batch<HostArray> => {
  const small = images.shape[1] === 2 * SIDE ? halved(images) : resizeBilinear(images, SIDE, SIDE);
  return { images: centred(small), labels };
};

/** MNIST where there is a data directory, else 1,000 and 400 drawn digits. */
export async function digits(
  split: 'train' | 'test',
  dataDir: string | undefined,
): Promise<Batch<HostArray>> {
  const source =
    dataDir === undefined ? { drawn: { key: DRAWN_KEY, train: 1000, test: 400 } } : { dataDir };
  return batchOf(orThrow(await loadDataset('mnist', split, source)()).dataset);
}
