/** The experiments as they stand in a chapter: sliders, a picture, a sentence with numbers. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { ExperimentName } from './protocol.js';
import { type Experiment, useExperiment } from './useExperiment.js';

interface SliderProps {
  readonly label: string;
  readonly value: number;
  readonly least: number;
  readonly most: number;
  readonly step: number;
  readonly onValue: (value: number) => void;
}

function Slider({ label, value, least, most, step, onValue }: SliderProps) {
  return (
    <label class="slider">
      <span>
        {label} = <output>{value}</output>
      </span>
      <input
        type="range"
        name={label}
        min={least}
        max={most}
        step={step}
        value={value}
        onInput={(event) => onValue(Number(event.currentTarget.value))}
      />
    </label>
  );
}

function Frame<T>({
  title,
  sliders,
  experiment,
  children,
}: {
  readonly title: string;
  readonly sliders: ComponentChildren;
  readonly experiment: Experiment<T>;
  readonly children: (result: T) => ComponentChildren;
}) {
  const { result, problem, isBusy } = experiment;
  return (
    <section class="panel" aria-label={title} aria-busy={isBusy}>
      <h3>{title}</h3>
      <div class="sliders">{sliders}</div>
      {problem !== undefined && <p class="error">{problem}</p>}
      {result === undefined ? <p>Computing …</p> : children(result)}
    </section>
  );
}

const WIDTH = 520;
const HEIGHT = 200;

/** Points as an SVG path, in a frame of numbers. */
const pathOf = (
  xs: readonly number[],
  ys: readonly number[],
  [left, right, low, high]: readonly [number, number, number, number],
): string =>
  xs
    .map((x, i) => {
      const px = ((x - left) / (right - left)) * WIDTH;
      const py = HEIGHT - (((ys[i] as number) - low) / (high - low)) * HEIGHT;
      return `${i === 0 ? 'M' : 'L'}${px.toFixed(1)},${py.toFixed(1)}`;
    })
    .join('');

const Axis = ({ left, right, label }: { left: number; right: number; label: string }) => (
  <>
    <line x1={0} x2={WIDTH} y1={HEIGHT} y2={HEIGHT} class="axis" />
    <text x={2} y={HEIGHT + 14}>
      {left.toPrecision(2)}
    </text>
    <text x={WIDTH - 2} y={HEIGHT + 14} text-anchor="end">
      {right.toPrecision(2)}
    </text>
    <text x={WIDTH / 2} y={HEIGHT + 14} text-anchor="middle">
      {label}
    </text>
  </>
);

function Activations() {
  const [n, setN] = useState(64);
  const [sigma, setSigma] = useState(0.5);
  const experiment = useExperiment('activations', { n, sigma, seed: 1 });
  return (
    <Frame
      title="The histogram behind 1 + σ²"
      experiment={experiment}
      sliders={
        <>
          <Slider label="n" value={n} least={2} most={512} step={1} onValue={setN} />
          <Slider label="σ" value={sigma} least={0} most={1.5} step={0.05} onValue={setSigma} />
        </>
      }
    >
      {({ histogram, edges, measured, expected, draws }) => {
        const [left, right] = [edges[0] as number, edges.at(-1) as number];
        const normal = (x: number) =>
          Math.exp((-x * x) / (2 * expected)) / Math.sqrt(2 * Math.PI * expected);
        const high = 0.45;
        const centres = histogram.map(
          (_, i) => ((edges[i] as number) + (edges[i + 1] as number)) / 2,
        );
        const cell = WIDTH / histogram.length;
        return (
          <>
            <svg
              viewBox={`0 -4 ${WIDTH} ${HEIGHT + 22}`}
              role="img"
              aria-label={`Histogram of ${draws} activations, and the normal curve with variance ${expected.toFixed(3)}`}
            >
              {histogram.map((density, i) => (
                <rect
                  key={edges[i]}
                  x={i * cell}
                  width={cell - 0.5}
                  y={HEIGHT - (density / high) * HEIGHT}
                  height={(density / high) * HEIGHT}
                  class="cell"
                />
              ))}
              <path
                d={pathOf(centres, centres.map(normal), [left, right, 0, high])}
                class="curve"
              />
              <Axis left={left} right={right} label="activation in lengths of the row" />
            </svg>
            <p>
              Variance of {draws} activations:{' '}
              <strong data-testid="measured">{measured.toFixed(3)}</strong>; Eq. 9 says 1 + σ² ={' '}
              <strong data-testid="expected">{expected.toFixed(3)}</strong>, whatever n is.
            </p>
          </>
        );
      }}
    </Frame>
  );
}

function RowSpace() {
  const [rank, setRank] = useState(2);
  const [size, setSize] = useState(0);
  const experiment = useExperiment('row-space', { rank, size, rho: 0.05, seed: 2 });
  return (
    <Frame
      title="LoRA-SAM inside the row space of A"
      experiment={experiment}
      sliders={
        <>
          <Slider label="rank r" value={rank} least={1} most={12} step={1} onValue={setRank} />
          <Slider
            label="size of B’s numbers"
            value={size}
            least={0}
            most={1}
            step={0.05}
            onValue={setSize}
          />
        </>
      }
    >
      {({ samInside, noiseInside, chance, share }) => (
        <>
          <div class="shares">
            {(
              [
                ['LoRA-SAM (Eq. 3)', samInside, 'lora'],
                ['noise of Eq. 7', noiseInside, 'flat'],
                ['r/n', chance, 'chance'],
              ] as const
            ).map(([name, value, kind]) => (
              <div key={name} class="share">
                <span>{name}</span>
                <span class="track">
                  <span class={`fill ${kind}`} style={{ width: `${100 * value}%` }} />
                </span>
                <span class="number">{(100 * value).toFixed(1)} %</span>
              </div>
            ))}
          </div>
          <p>
            Of LoRA-SAM’s perturbation of W (12 × 24){' '}
            <strong data-testid="sam">{(100 * samInside).toFixed(1)} %</strong> lies in the {rank}
            -dimensional row space of A (‖ε_B A‖/‖ε_W‖ = {share.toFixed(3)}); of the noise of Eq. 7{' '}
            <strong data-testid="noise">{(100 * noiseInside).toFixed(1)} %</strong>, about what
            chance gives. At B = 0, where LoRA starts, it is all of it.
          </p>
        </>
      )}
    </Frame>
  );
}

function Smoothing() {
  const [sigma, setSigma] = useState(0.1);
  const experiment = useExperiment('smoothing', { sigma });
  return (
    <Frame
      title="A loss, and its mean under noise"
      experiment={experiment}
      sliders={
        <Slider label="σ" value={sigma} least={0.02} most={0.6} step={0.02} onValue={setSigma} />
      }
    >
      {({ x, loss, smoothed, curvature, bound }) => {
        const [left, right] = [x[0] as number, x.at(-1) as number];
        const high = Math.max(...loss, ...smoothed);
        const frame = [left, right, 0, high] as const;
        return (
          <>
            <svg
              viewBox={`0 -4 ${WIDTH} ${HEIGHT + 22}`}
              role="img"
              aria-label={`A loss with two kinks, and its mean under noise of deviation ${sigma}, whose greatest curvature is ${curvature.toFixed(2)}`}
            >
              <path d={pathOf(x, loss, frame)} class="plain" />
              <path d={pathOf(x, smoothed, frame)} class="curve" />
              <Axis left={left} right={right} label="w" />
            </svg>
            <p>
              Greatest curvature of the mean at the kinks:{' '}
              <strong data-testid="curvature">{curvature.toFixed(2)}</strong>; Lemma 3.1 allows min
              {'{'}α/σ, β{'}'} = <strong data-testid="bound">{bound.toFixed(2)}</strong> (α = 1, β =
              50).
            </p>
          </>
        );
      }}
    </Frame>
  );
}

export const EXPERIMENTS: Readonly<Record<ExperimentName, () => ComponentChildren>> = {
  activations: () => <Activations />,
  'row-space': () => <RowSpace />,
  smoothing: () => <Smoothing />,
};
