/** Images as sequences of flat patches, and back. */
import {
  FlatloraError,
  reshape,
  type Shape,
  showAval,
  transpose,
  type Value,
} from '../../autodiff/index.js';

export interface ImageConfig {
  /** Height and width in pixels; one number for square images. */
  readonly imageSize: number | readonly [number, number];
  /** Side of a square patch in pixels. */
  readonly patchSize: number;
  /** Numbers per pixel; 1 by default. */
  readonly channels?: number;
}

/** Rows and columns of patches. @throws FlatloraError when patches do not tile the image. */
export function patchGrid({ imageSize, patchSize }: ImageConfig): readonly [number, number] {
  const size = typeof imageSize === 'number' ? [imageSize, imageSize] : imageSize;
  if (!size.every((n) => Number.isInteger(n) && n > 0 && n % patchSize === 0)) {
    throw new FlatloraError(
      'argument',
      `imageSize: ${size.join('×')} is not tiled by patches of ${patchSize}×${patchSize}, expected multiples of patchSize`,
    );
  }
  return [(size[0] as number) / patchSize, (size[1] as number) / patchSize];
}

/**
 * Images [b, height, width] or [b, height, width, channels] → patches
 * [b, rows·columns, channels·patch·patch], row by row. A linear layer on them is the strided
 * convolution of ViT; within a patch the order is (channel, y, x), that of a flattened PyTorch
 * convolution kernel.
 */
export function patches(config: ImageConfig, images: Value): Value {
  const { patchSize: p, channels = 1 } = config;
  const [rows, columns] = patchGrid(config);
  const expected: Shape = [rows * p, columns * p, channels];
  const [batch = 0, ...rest] = images.shape;
  const given = rest.length === 2 ? [...rest, 1] : rest;
  if (images.dtype !== 'float' || given.join() !== expected.join()) {
    throw new FlatloraError(
      images.dtype === 'float' ? 'shape' : 'dtype',
      `images: given ${showAval(images)}, expected float[batch,${(channels === 1 ? expected.slice(0, 2) : expected).join(',')}]`,
    );
  }
  const tiles = reshape(images, [batch, rows, p, columns, p, channels]);
  return reshape(transpose(tiles, [0, 1, 3, 5, 2, 4]), [batch, rows * columns, channels * p * p]);
}

/**
 * The inverse of `patches`: [b, rows·columns, channels·patch·patch] → images [b, height, width], or
 * [b, height, width, channels] where `withChannels` is set or there are several.
 */
export function fromPatches(
  config: ImageConfig,
  tiles: Value,
  withChannels = (config.channels ?? 1) > 1,
): Value {
  const { patchSize: p, channels = 1 } = config;
  const [rows, columns] = patchGrid(config);
  const batch = tiles.shape[0] as number;
  const split = reshape(tiles, [batch, rows, columns, channels, p, p]);
  return reshape(transpose(split, [0, 1, 4, 2, 5, 3]), [
    batch,
    rows * p,
    columns * p,
    ...(withChannels ? [channels] : []),
  ]);
}
