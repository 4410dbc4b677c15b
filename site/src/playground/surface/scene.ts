/**
 * The page's side of the scene: a canvas that a Worker draws on, because WebGL may take a quarter of a
 * second for its first picture, and the page must not wait.
 */

import type { Grid } from './Surface.js';
import type { Colours, FromScene, ToScene } from './sceneProtocol.js';

export interface Scene {
  /** @param together both over the same ground, else side by side. */
  readonly show: (grids: readonly Grid[], together: boolean) => void;
  /** Turns or zooms. @returns whether the key is one of its own. */
  readonly key: (key: string) => boolean;
  readonly dispose: () => void;
}

/** Most pixels of CSS that the scene is high. */
const HEIGHT = 340;

/** What each key does: radians to turn and to tilt, a factor of the distance. */
const KEYS: Readonly<Record<string, readonly [number, number, number]>> = {
  ArrowLeft: [-0.15, 0, 1],
  ArrowRight: [0.15, 0, 1],
  ArrowUp: [0, 0.1, 1],
  ArrowDown: [0, -0.1, 1],
  '+': [0, 0, 0.9],
  '-': [0, 0, 1 / 0.9],
};

/** What the page's CSS variables are here and now. */
function coloursOf(place: HTMLElement): Colours {
  const probe = document.createElement('span');
  place.append(probe);
  const colour = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const made = {
    ink: colour('ink'),
    quiet: colour('quiet'),
    lora: colour('lora'),
    flat: colour('flat'),
  };
  probe.remove();
  return made;
}

/** @param onFailure called where a Worker cannot draw with WebGL2. */
export function createScene(place: HTMLElement, onFailure: () => void): Scene {
  const canvas = document.createElement('canvas');
  canvas.style.touchAction = 'pan-y';
  place.append(canvas);
  const worker = new Worker(new URL('./sceneWorker.ts', import.meta.url), { type: 'module' });
  const say = (message: ToScene, transfer: Transferable[] = []) =>
    worker.postMessage(message, transfer);
  worker.onmessage = (_: MessageEvent<FromScene>) => onFailure();
  worker.onerror = (event) => {
    event.preventDefault();
    onFailure();
  };
  try {
    const offscreen = canvas.transferControlToOffscreen();
    say({ kind: 'open', canvas: offscreen }, [offscreen]);
  } catch {
    onFailure();
  }
  const observer = new ResizeObserver(() => {
    const width = place.clientWidth;
    if (width === 0) return;
    const height = Math.min(HEIGHT, Math.max(220, width * 0.6));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    say({ kind: 'size', width, height, ratio: Math.min(2, devicePixelRatio) });
  });
  observer.observe(place);
  canvas.addEventListener('pointermove', ({ buttons, movementX, movementY }) => {
    if (buttons === 0) return;
    say({ kind: 'move', turn: -movementX / 150, tilt: movementY / 150, zoom: 1 });
  });
  return {
    show: (grids, together) => say({ kind: 'show', grids, together, colours: coloursOf(place) }),
    key: (name) => {
      const move = Object.hasOwn(KEYS, name) ? KEYS[name] : undefined;
      if (move === undefined) return false;
      const [turn, tilt, zoom] = move;
      say({ kind: 'move', turn, tilt, zoom });
      return true;
    },
    dispose: () => {
      observer.disconnect();
      worker.terminate();
      canvas.remove();
    },
  };
}
