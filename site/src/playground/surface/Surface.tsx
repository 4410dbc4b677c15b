/** The loss around both solutions, over one plane of random directions, at one scale. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { HeatMaps } from './HeatMaps.js';
import { createScene, type Scene } from './scene.js';

export interface Grid {
  readonly name: string;
  readonly colour: 'lora' | 'flat';
  /** Coordinates along both directions, in lengths of the weights' rows. */
  readonly coordinates: readonly number[];
  /** `losses[i][j]` at `coordinates[i]`, `coordinates[j]`. */
  readonly losses: readonly (readonly number[])[];
}

interface Summary {
  readonly middle: number;
  readonly rise: number;
}

/** The loss in the middle, and its mean rise at the border. */
export function summaryOf({ losses }: Grid): Summary {
  const n = losses.length;
  const at = (i: number, j: number) => losses[i]?.[j] as number;
  const half = (n - 1) / 2;
  const border = losses.flatMap((row, i) =>
    row.filter((_, j) => i === 0 || j === 0 || i === n - 1 || j === n - 1),
  );
  const middle = at(half, half);
  return { middle, rise: border.reduce((sum, x) => sum + x, 0) / border.length - middle };
}

export function Surface({ grids }: { readonly grids: readonly Grid[] }) {
  const place = useRef<HTMLDivElement>(null);
  const scene = useRef<Scene | undefined>(undefined);
  const [flatView, setFlatView] = useState(false);
  const [isTogether, setTogether] = useState(false);
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    scene.current = createScene(place.current as HTMLDivElement, () => {
      setMissing(true);
      setFlatView(true);
    });
    return () => scene.current?.dispose();
  }, []);
  useEffect(() => scene.current?.show(grids, isTogether), [grids, isTogether]);
  return (
    <section class="surface" aria-label="Loss surface">
      <h2>The loss around the merged weights</h2>
      {missing && <p>WebGL2 does not work here, so the surface is shown as a map.</p>}
      <div
        ref={place}
        class="scene"
        hidden={flatView}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the keys turn it, as the label says.
        tabIndex={0}
        role="img"
        aria-label={`Loss surfaces. ${grids.map(describe).join(' ')} Arrow keys turn the view, plus and minus bring it nearer.`}
        onKeyDown={(event) => {
          if (scene.current?.key(event.key) === true) event.preventDefault();
        }}
      />
      {flatView && <HeatMaps grids={grids} />}
      <p class="surface-buttons">
        <label>
          <input
            type="checkbox"
            checked={isTogether}
            onChange={(event) => setTogether(event.currentTarget.checked)}
          />{' '}
          One over the other
        </label>
        <label>
          <input
            type="checkbox"
            checked={flatView}
            disabled={missing}
            onChange={(event) => setFlatView(event.currentTarget.checked)}
          />{' '}
          As a map
        </label>
      </p>
      <ul>
        {grids.map((grid) => (
          <li key={grid.name}>{describe(grid)}</li>
        ))}
      </ul>
      <p class="quiet">
        Height is the loss in nats on a few training examples, by its logarithm where it spans more
        than a decade; both directions run ½ of the weights’ row lengths to each side of the
        solution (filter-normalised).
      </p>
    </section>
  );
}

const describe = (grid: Grid): string => {
  const { middle, rise } = summaryOf(grid);
  return `${grid.name}: ${middle.toPrecision(3)} in the middle, ${rise.toPrecision(3)} more at the border.`;
};
