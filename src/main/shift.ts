/** Moves each image by up to one pixel in both directions, by key; the rim is filled with zeros. */
import { type HostArray, hostArray, hostUniform, type Key } from '../autodiff/index.js';

export function shiftByOnePixel(images: HostArray, key: Key): HostArray {
  const [count, height, width] = images.shape as [number, number, number];
  const draws = hostUniform(key, 2 * count);
  const out = new Float32Array(count * height * width);
  for (let i = 0; i < count; i++) {
    const [down, right] = [0, 1].map((k) => Math.floor(3 * (draws[2 * i + k] as number)) - 1) as [
      number,
      number,
    ];
    for (let y = Math.max(0, down); y < Math.min(height, height + down); y++) {
      for (let x = Math.max(0, right); x < Math.min(width, width + right); x++) {
        out[(i * height + y) * width + x] = images.get(i, y - down, x - right) as number;
      }
    }
  }
  return hostArray(out, images.shape);
}
