/** Strokes on a canvas, and the small image that a model gets of them. */

export interface Stroke {
  /** Places are shares of the side, from the upper left corner. */
  readonly begin: (place: readonly [number, number]) => void;
  readonly lineTo: (place: readonly [number, number]) => void;
  /** Moves the pen of the keys; it draws while it is down. */
  readonly moveBy: (step: readonly [number, number]) => void;
  /** Lowers or lifts that pen. */
  readonly toggle: () => void;
  readonly clear: () => void;
  /** size × size numbers from 0 to 1, the drawing centred and as large as the digits in training. */
  readonly pixels: (size: number) => Float32Array;
}

/** Thickness of the pen in the pad's side. */
const PEN = 0.08;
/** Share of the image's side that a digit fills in training. */
const FILL = 0.8;

/** Ink at the pixels of a square: [y, x], 0 to 255. */
export interface Ink {
  readonly side: number;
  readonly at: (x: number, y: number) => number;
}

/** The box around the ink: left, top, right, bottom; `undefined` where there is none. */
export function boxOf({ side, at }: Ink): readonly [number, number, number, number] | undefined {
  let [left, top, right, bottom] = [side, side, -1, -1];
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      if (at(x, y) < 32) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return right < 0 ? undefined : [left, top, right + 1, bottom + 1];
}

/** The ink's box in the middle of a small image, each pixel the mean of what it covers. */
export function shrunk(ink: Ink, size: number): Float32Array {
  const box = boxOf(ink);
  const out = new Float32Array(size * size);
  if (box === undefined) return out;
  const [left, top, right, bottom] = box;
  // Pixels of the pad for one of the image.
  const scale = Math.max(right - left, bottom - top) / (FILL * size);
  const [middleX, middleY] = [(left + right) / 2, (top + bottom) / 2];
  const fine = 4;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let sum = 0;
      for (let k = 0; k < fine * fine; k++) {
        const [dx, dy] = [((k % fine) + 0.5) / fine, (Math.floor(k / fine) + 0.5) / fine];
        const sx = Math.floor(middleX + (x + dx - size / 2) * scale);
        const sy = Math.floor(middleY + (y + dy - size / 2) * scale);
        if (sx >= 0 && sy >= 0 && sx < ink.side && sy < ink.side) sum += ink.at(sx, sy);
      }
      out[y * size + x] = sum / (fine * fine * 255);
    }
  }
  return out;
}

export function createStroke(canvas: HTMLCanvasElement): Stroke {
  const pen = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D;
  const side = canvas.width;
  let place: readonly [number, number] = [0.5, 0.2];
  let isDown = false;
  const clear = (): void => {
    pen.fillStyle = '#ffffff';
    pen.fillRect(0, 0, side, side);
  };
  const line = (from: readonly [number, number], to: readonly [number, number]): void => {
    pen.strokeStyle = '#000000';
    pen.lineWidth = PEN * side;
    pen.lineCap = 'round';
    pen.beginPath();
    pen.moveTo(from[0] * side, from[1] * side);
    pen.lineTo(to[0] * side, to[1] * side);
    pen.stroke();
  };
  clear();
  return {
    begin: (at) => {
      place = at;
      line(at, at);
    },
    lineTo: (at) => {
      line(place, at);
      place = at;
    },
    moveBy: ([dx, dy]) => {
      const inside = (x: number) => Math.min(0.95, Math.max(0.05, x));
      const next = [inside(place[0] + dx), inside(place[1] + dy)] as const;
      if (isDown) line(place, next);
      place = next;
    },
    toggle: () => {
      isDown = !isDown;
      if (isDown) line(place, place);
    },
    clear,
    pixels: (size) => {
      const { data } = pen.getImageData(0, 0, side, side);
      return shrunk({ side, at: (x, y) => 255 - (data[4 * (y * side + x)] as number) }, size);
    },
  };
}
