/** The surfaces as maps in SVG, for who has no WebGL or wants numbers at a glance. */
import { heightScale, rangeOf } from './heights.js';
import type { Grid } from './Surface.js';

const SIZE = 220;

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
