/** A pad to draw a digit on, by pointer or keys; what is drawn is handed on as the library's images are. */
import { useEffect, useRef } from 'preact/hooks';
import { createStroke, type Stroke } from './stroke.js';

/** Milliseconds between two images that are handed on. */
const EVERY = 150;
/** How far an arrow key moves the pen, in the pad's side. */
const KEY_STEP = 1 / 16;

interface PadProps {
  /** Pixels along each side. */
  readonly size: number;
  /** size × size numbers from 0 (paper) to 1 (ink). */
  readonly onDraw: (pixels: Float32Array) => void;
}

export function Pad({ size, onDraw }: PadProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const stroke = useRef<Stroke | undefined>(undefined);
  const hand = useRef(onDraw);
  hand.current = onDraw;
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const handOn = () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      const made = stroke.current?.pixels(size);
      if (made !== undefined) hand.current(made);
    }, EVERY);
  };
  useEffect(() => {
    stroke.current = createStroke(canvas.current as HTMLCanvasElement);
    return () => clearTimeout(timer.current);
  }, []);
  const at = (event: PointerEvent): readonly [number, number] => {
    const box = (canvas.current as HTMLCanvasElement).getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-KEY_STEP, 0],
      ArrowRight: [KEY_STEP, 0],
      ArrowUp: [0, -KEY_STEP],
      ArrowDown: [0, KEY_STEP],
    };
    const move = moves[event.key];
    if (move !== undefined) stroke.current?.moveBy(move);
    else if (event.key === ' ') stroke.current?.toggle();
    else return;
    event.preventDefault();
    handOn();
  };
  return (
    <div class="pad">
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: an application of its own keys. */}
      <canvas
        ref={canvas}
        width={224}
        height={224}
        tabIndex={0}
        role="application"
        aria-label="Pad for a digit. Arrow keys move the pen, space lowers and lifts it."
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          stroke.current?.begin(at(event));
          handOn();
        }}
        onPointerMove={(event) => {
          if (event.buttons === 0) return;
          stroke.current?.lineTo(at(event));
          handOn();
        }}
      />
      <button
        type="button"
        onClick={() => {
          stroke.current?.clear();
          hand.current(new Float32Array(size * size));
        }}
      >
        Clear
      </button>
    </div>
  );
}
