/** What the page and the Worker that draws say to each other. */
import type { Grid } from './Surface.js';

/** Colours as CSS has them, since a Worker cannot ask. */
export interface Colours {
  readonly ink: string;
  readonly quiet: string;
  readonly lora: string;
  readonly flat: string;
}

export type ToScene =
  | { readonly kind: 'open'; readonly canvas: OffscreenCanvas }
  | {
      readonly kind: 'show';
      readonly grids: readonly Grid[];
      /** Both over the same ground, else side by side. */
      readonly together: boolean;
      readonly colours: Colours;
    }
  | {
      readonly kind: 'size';
      readonly width: number;
      readonly height: number;
      readonly ratio: number;
    }
  /** Radians, and a factor of the distance. */
  | { readonly kind: 'move'; readonly turn: number; readonly tilt: number; readonly zoom: number };

export interface FromScene {
  readonly kind: 'failed';
}
