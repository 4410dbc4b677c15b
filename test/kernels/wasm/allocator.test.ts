/** The allocator: parts never overlap, are joined when freed, and are used again. */
import fc from 'fast-check';
import { createAllocator } from '../../../src/kernels/wasm/runtime/allocator.js';

const PAGE = 1 << 16;
/** Grows by pages up to a limit. */
const pages = (limit: number) => (end: number) => {
  const wanted = Math.ceil(end / PAGE) * PAGE;
  return wanted <= limit ? wanted : undefined;
};

/** A history: positive numbers allocate that many bytes, others free the oldest but n of what is there. */
const histories = fc.array(
  fc.oneof(fc.integer({ min: 0, max: 50_000 }), fc.integer({ min: -20, max: -1 })),
  { maxLength: 200 },
);

test('what is allocated is aligned, within the memory, and never overlaps', () => {
  fc.assert(
    fc.property(histories, (history) => {
      let end = 0;
      const allocator = createAllocator(128, (wanted) => {
        const next = pages(2 ** 20)(wanted);
        if (next !== undefined) {
          expect(next).toBeGreaterThan(end);
          end = next;
        }
        return next;
      });
      const held: { address: number; bytes: number }[] = [];
      for (const step of history) {
        if (step >= 0) {
          const address = allocator.allocate(step);
          if (address === undefined) continue;
          expect(address % 64).toBe(0);
          expect(address).toBeGreaterThanOrEqual(128);
          expect(address + step).toBeLessThanOrEqual(end);
          for (const other of held) {
            const apart =
              address + Math.max(step, 1) <= other.address ||
              other.address + Math.max(other.bytes, 1) <= address;
            expect(apart).toBe(true);
          }
          held.push({ address, bytes: step });
        } else if (held.length > 0) {
          const [gone] = held.splice(-step % held.length, 1);
          allocator.free((gone as { address: number }).address);
        }
      }
      const least = held.reduce((n, h) => n + h.bytes, 0);
      expect(allocator.usedBytes()).toBeGreaterThanOrEqual(least);
      expect(allocator.usedBytes()).toBeLessThanOrEqual(least + 64 * held.length);
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('after everything is freed, in any order, all of the memory is one part again', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 9000 }), { minLength: 1, maxLength: 40 }),
      fc.infiniteStream(fc.nat()),
      (sizes, order) => {
        let end = 0;
        const allocator = createAllocator(64, (wanted) => {
          end = pages(2 ** 20)(wanted) ?? end;
          return end >= wanted ? end : undefined;
        });
        const held = sizes.map((n) => allocator.allocate(n) as number);
        while (held.length > 0) {
          const [address] = held.splice((order.next().value as number) % held.length, 1);
          allocator.free(address as number);
        }
        expect(allocator.usedBytes()).toBe(0);
        const before = end;
        expect(allocator.allocate(end - 64)).toBe(64);
        expect(end).toBe(before);
      },
    ),
    { seed: 2, numRuns: 200 },
  );
});

test('the smallest part that fits is taken, so that large ones stay whole', () => {
  const allocator = createAllocator(0, pages(PAGE));
  const [large, , small] = [4096, 64, 256, 64].map((n) => allocator.allocate(n)) as number[];
  allocator.free(large as number);
  allocator.free(small as number);
  expect(allocator.allocate(200)).toBe(small);
  expect(allocator.allocate(4096)).toBe(large);
});

test('a full memory says so and stays usable', () => {
  const allocator = createAllocator(0, pages(PAGE));
  const all = allocator.allocate(PAGE) as number;
  expect(allocator.allocate(1)).toBeUndefined();
  allocator.free(all);
  expect(allocator.allocate(PAGE)).toBe(all);
  expect(() => allocator.free(64)).toThrow(/nothing is allocated at 64/);
});

test('a steady state allocates the same addresses for ever', () => {
  let end = 0;
  const allocator = createAllocator(0, (wanted) => {
    end = Math.ceil(wanted / PAGE) * PAGE;
    return end;
  });
  const round = () => [1000, 20_000, 64, 300].map((n) => allocator.allocate(n) as number);
  let held = round();
  held.forEach(allocator.free);
  const first = held.join();
  for (let i = 0; i < 1000; i++) {
    held = round();
    held.forEach(allocator.free);
  }
  expect(held.join()).toBe(first);
  expect(end).toBe(PAGE);
});
