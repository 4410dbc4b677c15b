/**
 * Buffers that are used again. Making a GPU buffer costs time and clears it, and a program asks for the
 * same sizes at every step, so a buffer that is given back waits for the next of its size class.
 */

/** Four classes to a doubling, whole mebibytes for large buffers: little of a buffer is unused. */
export function sizeClass(bytes: number, greatest: number): number {
  if (bytes <= 256) return 256;
  const power = 2 ** Math.floor(Math.log2(bytes));
  const step = Math.min(Math.max(256, power / 4), 2 ** 20);
  return Math.min(greatest, Math.ceil(bytes / step) * step);
}

export interface PooledBuffer {
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Its class, which is its size. */
  readonly size: number;
}

export interface BufferPool {
  /** A buffer of at least so many bytes; its contents are anything. */
  readonly acquire: (bytes: number) => PooledBuffer;
  readonly release: (buffer: PooledBuffer) => void;
  /** Takes these very buffers if all of them wait; else none. */
  readonly claim: (buffers: readonly PooledBuffer[]) => boolean;
  /** What went wrong while making buffers since the last look; `undefined` where all is well. */
  readonly shortage: () => Promise<string | undefined>;
  /** Whether buffers were made since the last look. */
  readonly grew: () => boolean;
  /** Gives waiting buffers back to the device. */
  readonly trim: () => void;
  /** Bytes of the buffers that wait. */
  readonly idleBytes: () => number;
  readonly destroy: () => void;
}

/** @param greatest the most bytes of one buffer. */
export function bufferPool(device: GPUDevice, greatest: number, keep: number): BufferPool {
  const waiting = new Map<number, PooledBuffer[]>();
  const isIdle = new Set<PooledBuffer>();
  const all = new Set<PooledBuffer>();
  let made: { readonly pooled: PooledBuffer; readonly problem: Promise<GPUError | null> }[] = [];
  let idle = 0;
  let count = 0;
  const end = (pooled: PooledBuffer) => {
    all.delete(pooled);
    pooled.buffer.destroy();
  };
  const trim = () => {
    for (const buffers of waiting.values()) buffers.forEach(end);
    waiting.clear();
    isIdle.clear();
    idle = 0;
  };
  /** A buffer that waits no longer. */
  const taken = (pooled: PooledBuffer) => {
    isIdle.delete(pooled);
    idle -= pooled.size;
  };
  return {
    acquire: (bytes) => {
      const size = sizeClass(bytes, greatest);
      const known = waiting.get(size)?.pop();
      if (known !== undefined) {
        taken(known);
        return known;
      }
      device.pushErrorScope('out-of-memory');
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const pooled = { id: count++, buffer: device.createBuffer({ size, usage }), size };
      made.push({ pooled, problem: device.popErrorScope() });
      all.add(pooled);
      return pooled;
    },
    release: (pooled) => {
      if (!all.has(pooled)) return;
      if (idle + pooled.size > keep) {
        end(pooled);
        return;
      }
      idle += pooled.size;
      isIdle.add(pooled);
      const alike = waiting.get(pooled.size);
      if (alike === undefined) waiting.set(pooled.size, [pooled]);
      else alike.push(pooled);
    },
    claim: (buffers) => {
      if (!buffers.every((b) => isIdle.has(b))) return false;
      for (const pooled of buffers) {
        const alike = waiting.get(pooled.size) as PooledBuffer[];
        alike.splice(alike.lastIndexOf(pooled), 1);
        taken(pooled);
      }
      return true;
    },
    grew: () => made.length > 0,
    shortage: async () => {
      const asked = made;
      made = [];
      const problems = await Promise.all(asked.map((m) => m.problem));
      // A buffer that there was no memory for is never used again.
      asked.forEach(({ pooled }, i) => {
        if (problems[i] !== null) end(pooled);
      });
      return problems.find((problem) => problem !== null)?.message;
    },
    trim,
    idleBytes: () => idle,
    destroy: () => {
      trim();
      for (const pooled of [...all]) end(pooled);
    },
  };
}
