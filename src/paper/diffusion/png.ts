/** Grey images as text in results, and as PNG files inside SVG (Node only, for zlib). */
import { deflateSync } from 'node:zlib';
import { flatData, type HostArray } from '../../autodiff/index.js';
import { SIDE } from './model.js';

const SIZE = SIDE * SIDE;

/** Images [n, 14, 14] from −1 to 1 as base64 text, a byte for each pixel. */
export const toText = (images: HostArray): string =>
  Buffer.from(
    Uint8Array.from(flatData(images), (x) =>
      Math.round(255 * Math.min(1, Math.max(0, (x + 1) / 2))),
    ),
  ).toString('base64');

/** The images of a text, each as its bytes row by row. */
export function fromText(text: string): readonly Uint8Array[] {
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  return Array.from({ length: Math.floor(bytes.length / SIZE) }, (_, i) =>
    bytes.subarray(i * SIZE, (i + 1) * SIZE),
  );
}

/** CRC-32 as PNG has it (ISO 3309). */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function chunk(type: string, data: Uint8Array): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(named.length + 8);
  out.writeUInt32BE(data.length, 0);
  named.copy(out, 4);
  out.writeUInt32BE(crc32(named), named.length + 4);
  return out;
}

/** A square image of grey bytes as a PNG data URL. */
export function pngUrl(pixels: Uint8Array, side = SIDE): string {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 8; // bits per pixel; the zeros after it: grey, deflate, no filter method, no interlace
  // Each row begins with its filter: 0, none.
  const rows = Buffer.alloc(side * (side + 1));
  for (let y = 0; y < side; y++)
    rows.set(pixels.subarray(y * side, (y + 1) * side), y * (side + 1) + 1);
  const file = Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
  return `data:image/png;base64,${file.toString('base64')}`;
}
