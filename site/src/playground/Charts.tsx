/** Curves of both runs, drawn by uPlot as they come in; a table says the same in words. */
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Client } from './client.js';
import type { StepLosses } from './protocol.js';
import type { Measured } from './session.js';

/** One chart: a title with the unit, and for each run its points. */
interface ChartProps {
  readonly title: string;
  readonly labels: readonly [string, string];
  /** Steps, plain, flat: columns of equal length. */
  readonly columns: readonly (readonly (number | null)[])[];
}

const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** `light-dark(a, b)` is not a colour that a canvas knows; the page's scheme decides. */
function resolved(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const made = getComputedStyle(probe).color;
  probe.remove();
  return made || colour(name);
}

function Chart({ title, labels, columns }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  useEffect(() => {
    const element = place.current as HTMLDivElement;
    const [ink, line] = [resolved('--ink'), resolved('--line')];
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
    const height = 190;
    const made = new uPlot(
      {
        width: element.clientWidth,
        height,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false } },
        axes: [
          { ...axis, label: 'step', labelSize: 18 },
          { ...axis, size: 56 },
        ],
        series: [
          {},
          { label: labels[0], stroke: resolved('--lora'), width: 2, spanGaps: true },
          { label: labels[1], stroke: resolved('--flat'), width: 2, dash: [6, 3], spanGaps: true },
        ],
      },
      columns as unknown as uPlot.AlignedData,
      element,
    );
    plot.current = made;
    const fit = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    fit.observe(element);
    return () => {
      fit.disconnect();
      made.destroy();
    };
  }, [labels[0], labels[1]]);
  useEffect(() => plot.current?.setData(columns as unknown as uPlot.AlignedData), [columns]);
  const last = (k: number) => columns[k]?.findLast((x) => x !== null);
  const spoken = labels.map((label, k) => `${label} ${shown(last(k + 1))}`).join(', ');
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={place} role="img" aria-label={`${title}, last values: ${spoken}`} />
    </figure>
  );
}

const shown = (x: number | null | undefined): string =>
  x == null ? 'none yet' : Math.abs(x) < 0.001 && x !== 0 ? x.toExponential(2) : x.toPrecision(4);

/** A measured number of each run, by step. */
const columnsOf = (
  plain: readonly Measured[],
  flat: readonly Measured[],
  of: (m: Measured) => number | undefined,
): readonly (readonly (number | null)[])[] => [
  plain.map(({ step }) => step),
  plain.map((m) => of(m) ?? null),
  plain.map((_, i) => (flat[i] === undefined ? null : (of(flat[i]) ?? null))),
];

/** Test loss minus training loss. */
const gap = ({ testLoss, trainLoss }: Measured) => testLoss - trainLoss;

export function Charts({
  client,
  labels,
}: {
  readonly client: Client;
  readonly labels: readonly [string, string];
}) {
  const { plain = [], flat = [] } = client.measured.value;
  const steps = client.steps.value;
  const [isOpen, setOpen] = useState(false);
  const losses = [
    steps.map(({ step }) => step),
    steps.map((s) => s.losses[0]),
    steps.map((s) => s.losses[1]),
  ];
  const hasAccuracy = plain.some(({ accuracy }) => accuracy !== undefined);
  return (
    <section aria-label="Curves">
      <p class="key">
        <span class="swatch lora" /> {labels[0]} <span class="swatch flat" /> {labels[1]}
      </p>
      <div class="charts">
        <Chart title="Training loss of each step (nats)" labels={labels} columns={losses} />
        {hasAccuracy ? (
          <Chart
            title="Test accuracy (%)"
            labels={labels}
            columns={columnsOf(plain, flat, ({ accuracy }) =>
              accuracy === undefined ? undefined : 100 * accuracy,
            )}
          />
        ) : (
          <Chart
            title="Test loss (nats a token)"
            labels={labels}
            columns={columnsOf(plain, flat, ({ testLoss }) => testLoss)}
          />
        )}
        <Chart
          title="Generalisation gap: test − training loss (nats)"
          labels={labels}
          columns={columnsOf(plain, flat, gap)}
        />
        <Chart
          title="Sharpness: mean rise of the loss under noise, σ = 0.1 (nats)"
          labels={labels}
          columns={columnsOf(plain, flat, ({ sharpness }) => sharpness)}
        />
      </div>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>The same as tables</summary>
        {isOpen && <Tables plain={plain} flat={flat} steps={steps} labels={labels} />}
      </details>
    </section>
  );
}

interface TablesProps {
  readonly plain: readonly Measured[];
  readonly flat: readonly Measured[];
  readonly steps: readonly StepLosses[];
  readonly labels: readonly [string, string];
}

function Tables({ plain, flat, steps, labels }: TablesProps) {
  return (
    <div class="tables">
      <table data-testid="measured">
        <caption>Measured on test images or texts, and on the training ones</caption>
        <thead>
          <tr>
            <th scope="col">step</th>
            <th scope="col">run</th>
            <th scope="col">test loss</th>
            <th scope="col">accuracy</th>
            <th scope="col">gap</th>
            <th scope="col">sharpness</th>
          </tr>
        </thead>
        <tbody>
          {plain.flatMap((m, i) =>
            [m, flat[i]].map((one, k) =>
              one === undefined ? null : (
                <tr key={`${m.step}-${labels[k]}`}>
                  <td>{one.step}</td>
                  <td>{labels[k]}</td>
                  <td>{shown(one.testLoss)}</td>
                  <td>
                    {one.accuracy === undefined ? '–' : `${(100 * one.accuracy).toFixed(1)} %`}
                  </td>
                  <td>{shown(gap(one))}</td>
                  <td>{shown(one.sharpness)}</td>
                </tr>
              ),
            ),
          )}
        </tbody>
      </table>
      <table data-testid="losses">
        <caption>Training loss of each step</caption>
        <thead>
          <tr>
            <th scope="col">step</th>
            <th scope="col">{labels[0]}</th>
            <th scope="col">{labels[1]}</th>
          </tr>
        </thead>
        <tbody>
          {steps.map(({ step, losses: [a, b] }) => (
            <tr key={step}>
              <td>{step}</td>
              <td>{a.toPrecision(7)}</td>
              <td>{b.toPrecision(7)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
