/** The surfaces as maps in SVG, for who has no WebGL or wants numbers at a glance. */
import type { Grid } from './Surface.js';

const SIZE = 220;

/** Losses at both ends of all grids. */
export function rangeOf(grids: readonly Grid[]): readonly [number, number] {
  const all = grids.flatMap(({ losses }) => losses.flat()).filter(Number.isFinite);
  return [Math.min(...all), Math.max(...all)];
}

/** 0 to 1, by the logarithm where losses span more than a decade: minima are small. */
export function heightScale([low, high]: readonly [number, number]): (loss: number) => number {
  const floor = Math.max(low, 1e-4);
  if (high / floor < 10) {
    return (loss) => (high === low ? 0 : (Math.min(loss, high) - low) / (high - low));
  }
  const span = Math.log(high / floor);
  return (loss) => Math.max(0, Math.log(Math.max(Math.min(loss, high), floor) / floor) / span);
}

export function HeatMaps({ grids }: { readonly grids: readonly Grid[] }) {
  const scale = heightScale(rangeOf(grids));
  return (
    <div class="maps">
      {grids.map(({ name, losses, colour }) => {
        const side = SIZE / losses.length;
        return (
          <figure key={name}>
            <svg viewBox={`0 0 ${SIZE} ${SIZE}`} role="img" aria-label={`Loss of ${name} as a map`}>
              {losses.map((row, i) =>
                row.map((loss, j) => (
                  <rect
                    key={`${i},${j}`}
                    x={i * side}
                    y={j * side}
                    width={side + 0.3}
                    height={side + 0.3}
                    style={{ fill: `var(--${colour})`, fillOpacity: 0.05 + 0.95 * scale(loss) }}
                  />
                )),
              )}
              <circle cx={SIZE / 2} cy={SIZE / 2} r={4} class="centre" />
            </svg>
            <figcaption>{name}: darker is higher</figcaption>
          </figure>
        );
      })}
    </div>
  );
}
