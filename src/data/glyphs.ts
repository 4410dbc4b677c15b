/**
 * Stroke templates of the ten digits in two hands, drawn for this project.
 *
 * A glyph is a list of strokes in a box: x from 0 (left) to 1 (right), y from 0 (top) to 1
 * (bottom). A smooth stroke runs through its points as a Catmull–Rom spline, a straight one as a
 * polyline, and a loop is a smooth stroke that closes.
 *
 * The hands differ as two schools of writing do: `upright` writes round, closed, simple shapes;
 * `slanted` writes angular ones with the flags, crossbars, loops and open tops of a fast pen.
 */

/** A point (x, y) in the unit box, y downwards. */
export type Point = readonly [number, number];

export interface Stroke {
  readonly kind: 'smooth' | 'straight' | 'loop';
  readonly points: readonly Point[];
}

export type Glyph = readonly Stroke[];

/** Which of the two hands writes. */
export type Hand = 'upright' | 'slanted';

const smooth = (...points: Point[]): Stroke => ({ kind: 'smooth', points });
const straight = (...points: Point[]): Stroke => ({ kind: 'straight', points });
const loop = (...points: Point[]): Stroke => ({ kind: 'loop', points });

// biome-ignore format: one glyph a line reads as a table
const upright: readonly (readonly Glyph[])[] = [
  // 0: an oval, wide or narrow
  [
    [loop([0.5, 0], [0.85, 0.15], [1, 0.5], [0.85, 0.85], [0.5, 1], [0.15, 0.85], [0, 0.5], [0.15, 0.15])],
    [loop([0.5, 0], [0.82, 0.25], [0.85, 0.6], [0.5, 1], [0.17, 0.7], [0.15, 0.3])],
  ],
  // 1: a bare stem, or one with a short flag
  [
    [straight([0.5, 0], [0.5, 1])],
    [straight([0.3, 0.18], [0.55, 0], [0.55, 1])],
  ],
  // 2: a hook and a straight foot
  [
    [smooth([0.05, 0.25], [0.45, 0], [0.88, 0.22], [0.65, 0.6], [0.05, 1]), straight([0.05, 1], [0.95, 1])],
    [smooth([0.1, 0.15], [0.5, 0.0], [0.8, 0.3], [0.4, 0.72], [0.1, 0.98]), straight([0.1, 0.98], [0.9, 0.95])],
  ],
  // 3: two round bellies
  [
    [smooth([0.1, 0.1], [0.5, 0], [0.85, 0.22], [0.4, 0.47]), smooth([0.4, 0.47], [0.95, 0.72], [0.5, 1], [0.05, 0.9])],
  ],
  // 4: closed, its stem starting at the top
  [
    [straight([0.68, 1], [0.68, 0], [0.02, 0.68], [1, 0.68])],
    [straight([0.6, 0], [0.08, 0.6], [0.95, 0.62]), straight([0.66, 0.3], [0.66, 1])],
  ],
  // 5: bar, neck, belly
  [
    [straight([0.9, 0], [0.2, 0], [0.15, 0.45]), smooth([0.15, 0.45], [0.6, 0.36], [0.95, 0.68], [0.55, 1], [0.05, 0.9])],
  ],
  // 6: a long bow into a round bowl
  [
    [smooth([0.75, 0], [0.3, 0.25], [0.08, 0.68], [0.45, 1], [0.88, 0.78], [0.6, 0.5], [0.15, 0.68])],
    [smooth([0.55, 0], [0.15, 0.45], [0.2, 0.9], [0.6, 1], [0.9, 0.74], [0.55, 0.52], [0.15, 0.75])],
  ],
  // 7: a bar and a slope
  [
    [straight([0.05, 0.02], [0.95, 0.02], [0.4, 1])],
    [straight([0.05, 0.05], [0.9, 0]), smooth([0.9, 0], [0.6, 0.45], [0.45, 1])],
  ],
  // 8: one crossing line
  [
    [loop([0.5, 0], [0.88, 0.2], [0.5, 0.48], [0.08, 0.78], [0.5, 1], [0.92, 0.78], [0.5, 0.48], [0.12, 0.2])],
  ],
  // 9: a round head and a straight or bowed leg
  [
    [loop([0.5, 0], [0.88, 0.25], [0.5, 0.52], [0.12, 0.27]), straight([0.87, 0.22], [0.8, 1])],
    [smooth([0.85, 0.2], [0.5, 0], [0.12, 0.27], [0.5, 0.52], [0.86, 0.22], [0.85, 0.6], [0.4, 1])],
  ],
];

// biome-ignore format: one glyph a line reads as a table
const slanted: readonly (readonly Glyph[])[] = [
  // 0: narrow and left open at the top
  [
    [smooth([0.65, 0.1], [0.35, 0.02], [0.1, 0.5], [0.4, 0.98], [0.85, 0.6], [0.75, 0.12], [0.4, 0.08])],
    [loop([0.5, 0], [0.95, 0.45], [0.55, 1], [0.08, 0.55])],
  ],
  // 1: a long flag, with or without a foot
  [
    [straight([0.05, 0.42], [0.6, 0], [0.6, 1])],
    [straight([0.1, 0.35], [0.55, 0], [0.55, 1]), straight([0.15, 1], [0.95, 1])],
  ],
  // 2: a loop at the foot, or a sharp Z
  [
    [smooth([0.1, 0.22], [0.5, 0], [0.88, 0.2], [0.6, 0.6], [0.15, 0.95], [0.1, 0.75], [0.4, 0.82], [0.95, 1])],
    [straight([0.05, 0.12], [0.5, 0], [0.85, 0.14], [0.1, 0.95], [1, 0.9])],
  ],
  // 3: a flat roof and one belly
  [
    [straight([0.1, 0.02], [0.9, 0], [0.42, 0.4]), smooth([0.42, 0.4], [0.92, 0.62], [0.6, 0.98], [0.02, 0.88])],
    [straight([0.1, 0.08], [0.7, 0.02], [0.85, 0.25], [0.4, 0.48], [0.9, 0.6], [0.8, 0.95], [0.05, 0.95])],
  ],
  // 4: open at the top
  [
    [straight([0.2, 0], [0.05, 0.55], [0.95, 0.5]), straight([0.8, 0.15], [0.65, 1])],
    [smooth([0.25, 0.02], [0.08, 0.45], [0.45, 0.58], [0.85, 0.4]), straight([0.9, 0], [0.75, 1])],
  ],
  // 5: one sweep with its bar set apart
  [
    [straight([0.45, 0.08], [1, 0]), smooth([0.35, 0.08], [0.2, 0.42], [0.75, 0.55], [0.75, 0.88], [0.3, 1], [0, 0.85])],
    [straight([0.95, 0.02], [0.3, 0.05], [0.22, 0.4], [0.8, 0.5], [0.7, 0.95], [0.02, 0.95])],
  ],
  // 6: a straight stem with a small bowl at its foot
  [
    [smooth([0.65, 0], [0.3, 0.4], [0.12, 0.85], [0.5, 1], [0.8, 0.75], [0.5, 0.62], [0.15, 0.85])],
    [straight([0.5, 0], [0.1, 0.75], [0.3, 1], [0.8, 0.95], [0.75, 0.62], [0.12, 0.7])],
  ],
  // 7: a hooked bar and a crossed leg
  [
    [straight([0.02, 0.18], [0.08, 0.02], [0.95, 0.05], [0.45, 1]), straight([0.25, 0.52], [0.95, 0.48])],
    [smooth([0.02, 0.12], [0.35, 0.02], [0.65, 0.1], [0.98, 0]), straight([0.98, 0], [0.4, 1]), straight([0.3, 0.5], [0.9, 0.5])],
  ],
  // 8: an S that is closed by its way back, or a big and a small ring
  [
    [smooth([0.85, 0.1], [0.4, 0.02], [0.25, 0.28], [0.75, 0.65], [0.5, 0.98], [0.1, 0.8], [0.5, 0.5], [0.95, 0.06])],
    [loop([0.55, 0], [0.82, 0.18], [0.5, 0.38], [0.25, 0.18]), loop([0.5, 0.38], [0.95, 0.7], [0.45, 1], [0.05, 0.7])],
  ],
  // 9: an open or angular head and a hooked tail
  [
    [smooth([0.85, 0.08], [0.4, 0.02], [0.12, 0.3], [0.45, 0.45], [0.85, 0.12], [0.8, 0.6], [0.55, 0.98], [0.1, 0.88])],
    [straight([0.85, 0.05], [0.25, 0.05], [0.15, 0.4], [0.75, 0.38], [0.9, 0.03], [0.6, 1])],
  ],
];

/** `GLYPHS[hand][digit]` lists that digit's variants. */
export const GLYPHS: Readonly<Record<Hand, readonly (readonly Glyph[])[]>> = { upright, slanted };
