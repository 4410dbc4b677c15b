/**
 * TensorBoard's event files: records of protocol buffers, each with its length and checksums.
 *
 *     uint64 length · uint32 masked crc32c(length) · data · uint32 masked crc32c(data)
 *
 * Of the messages only what scalars need is written: Event {wall_time = 1, step = 2, file_version = 3,
 * summary = 5}, Summary {value = 1}, Value {tag = 1, simple_value = 2}.
 * Formats: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, summary.proto.
 */

/** The table of CRC-32C (Castagnoli), reflected polynomial 0x82f63b78. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C of some bytes. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Rotated by 15 bits and moved, so that a checksum of checksums is not 0. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

/** Data as a record. */
export function eventRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(16 + data.length);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(record.subarray(0, 8))), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return record;
}

function varint(n: number): readonly number[] {
  const bytes: number[] = [];
  let rest = n;
  while (rest > 127) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

const numberBytes = (x: number, size: 4 | 8): readonly number[] => {
  const view = new DataView(new ArrayBuffer(size));
  if (size === 8) view.setFloat64(0, x, true);
  else view.setFloat32(0, x, true);
  return Array.from(new Uint8Array(view.buffer));
};

/** A field's number and how it is written: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
const tag = (field: number, wire: 0 | 1 | 2 | 5): number => (field << 3) | wire;

const text = (field: number, value: string): readonly number[] => {
  const bytes = new TextEncoder().encode(value);
  return [tag(field, 2), ...varint(bytes.length), ...bytes];
};

const message = (field: number, bytes: readonly number[]): readonly number[] => [
  tag(field, 2),
  ...varint(bytes.length),
  ...bytes,
];

/** The first record of a file. */
export const versionRecord = (seconds: number): Uint8Array =>
  eventRecord(
    Uint8Array.from([tag(1, 1), ...numberBytes(seconds, 8), ...text(3, 'brain.Event:2')]),
  );

/** Numbers of one step by name. */
export const scalarsRecord = (
  seconds: number,
  step: number,
  scalars: Readonly<Record<string, number>>,
): Uint8Array =>
  eventRecord(
    Uint8Array.from([
      tag(1, 1),
      ...numberBytes(seconds, 8),
      tag(2, 0),
      ...varint(step),
      ...message(
        5,
        Object.entries(scalars).flatMap(([name, value]) =>
          message(1, [...text(1, name), tag(2, 5), ...numberBytes(value, 4)]),
        ),
      ),
    ]),
  );
