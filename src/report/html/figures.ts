/** The charts of a summary, each a figure with its caption and legend. */
import { type Bar, barChart } from '../charts/barChart.js';
import { type BandPoint, bandOverSeeds, bandPoint, MOST_POINTS } from '../charts/curves.js';
import { marker, seriesColour, seriesDash } from '../charts/frame.js';
import { heatMap } from '../charts/heatMap.js';
import { heightScale } from '../charts/heightScale.js';
import { lineChart, type Series } from '../charts/lineChart.js';
import { surfaceChart } from '../charts/surfaceChart.js';
import { formatMeasured, inSentence } from '../format.js';
import { element, type Markup } from '../markup.js';
import { aggregateMetric, metricById, SEVERITIES } from '../metrics.js';
import {
  type Curve,
  isMeasured,
  type LandscapeSurface,
  type SeedRun,
  type Summary,
} from '../summary.js';
import { aggregateText } from '../tables.js';

const figure = (heading: string, note: string, ...content: readonly (Markup | null)[]): Markup =>
  element(
    'figure',
    {},
    element('figcaption', {}, element('h3', {}, heading), element('p', {}, note)),
    content,
  );

/** Line, dash pattern and marker of each method that is in the chart. */
const legend = (series: readonly { readonly label: string; readonly style: number }[]): Markup =>
  element(
    'ul',
    { class: 'legend' },
    series.map(({ label, style }) =>
      element(
        'li',
        {},
        element(
          'svg',
          { xmlns: 'http://www.w3.org/2000/svg', viewBox: '0 0 34 14', 'aria-hidden': 'true' },
          element('path', {
            class: 'line',
            stroke: seriesColour(style),
            'stroke-dasharray': seriesDash(style),
            d: 'M0,7H34',
          }),
          marker(style, 17, 7),
        ),
        label,
      ),
    ),
  );

/** One series per method with at least one point; its style is its place in the summary. */
const seriesOf = (
  summary: Summary,
  points: (runs: readonly SeedRun[]) => readonly BandPoint[],
): readonly Series[] =>
  summary.methods
    .map(({ label, runs }, style) => ({ label, style, points: points(runs) }))
    .filter((series) => series.points.length > 0);

const percent = (value: number): string => `${formatMeasured(value, 'percent')} %`;
const plain = (value: number): string => formatMeasured(value, 'significant');

/** "LoRA 12.1 to 13.4; …": where each series starts and ends, for descriptions. */
const ends = (series: readonly Series[], format: (value: number) => string): string =>
  series
    .map(({ label, points }) => {
      const [first, last] = [points[0]?.mean, points.at(-1)?.mean];
      return `${label} from ${format(first ?? Number.NaN)} to ${format(last ?? Number.NaN)}`;
    })
    .join('; ');

/** Training loss, validation accuracy and accuracy under corruption; what was not measured is left out. */
export function lineFigures(summary: Summary): readonly Markup[] {
  const asFractions = (points: readonly BandPoint[]) =>
    points.map(({ x, mean, low, high }) => ({
      x,
      mean: 100 * mean,
      low: 100 * low,
      high: 100 * high,
    }));
  const longest = Math.max(
    0,
    ...summary.methods.flatMap(({ runs }) => runs.map((run) => run.trainLossCurve.length)),
  );
  const averaged = Math.ceil(longest / MOST_POINTS);
  const loss = seriesOf(summary, (runs) => bandOverSeeds(runs.map((run) => run.trainLossCurve)));
  const validation = seriesOf(summary, (runs) =>
    asFractions(bandOverSeeds(runs.map((run) => run.validationCurve))),
  );
  const corruption = seriesOf(summary, (runs) => asFractions(corruptionPoints(runs)));
  const gaps = (curve: (run: SeedRun) => Curve) =>
    summary.methods.some(({ runs }) =>
      runs.some((run) => curve(run).some(([, value]) => !isMeasured(value))),
    )
      ? '; where a seed has no finite number, over the others'
      : '';
  const spread = 'mean ± standard deviation over seeds';
  const inPercent = (value: number) => percent(value / 100);
  return [
    chartFigure(
      loss,
      'Training loss',
      `${spread}${averaged > 1 ? `; each point averages ${averaged} recorded steps` : ''}${gaps((run) => run.trainLossCurve)}`,
      lineChart({
        id: 'training-loss',
        title: 'Training loss by step',
        description: `Mean over seeds, ${ends(loss, plain)}.`,
        xLabel: 'optimiser step',
        yLabel: 'training loss',
        series: loss,
        spread: 'band',
        fromZero: true,
        format: plain,
      }),
    ),
    chartFigure(
      validation,
      'Validation accuracy',
      `${spread}${gaps((run) => run.validationCurve)}`,
      lineChart({
        id: 'validation-accuracy',
        title: 'Validation accuracy by step',
        description: `Mean over seeds, ${ends(validation, inPercent)}.`,
        xLabel: 'optimiser step',
        yLabel: 'accuracy (%)',
        series: validation,
        spread: 'band',
        fromZero: false,
        format: inPercent,
      }),
    ),
    chartFigure(
      corruption,
      'Accuracy under corruption',
      `${spread}; the axis does not start at zero`,
      lineChart({
        id: 'corruption',
        title: 'Accuracy on the target test set by severity of corruption',
        description: `Mean over seeds, clean to most corrupted, ${ends(corruption, inPercent)}.`,
        xLabel: 'severity of corruption',
        yLabel: 'accuracy (%)',
        series: corruption,
        spread: 'bars',
        fromZero: false,
        xTicks: [0, ...SEVERITIES].map((at) => ({ at, text: at === 0 ? 'clean' : String(at) })),
        format: inPercent,
      }),
    ),
  ].filter((drawn) => drawn !== null);
}

const chartFigure = (
  series: readonly Series[],
  heading: string,
  note: string,
  chart: Markup | null,
): Markup | null => (chart === null ? null : figure(heading, note, legend(series), chart));

/** The clean accuracy at 0, then each severity. */
function corruptionPoints(runs: readonly SeedRun[]): readonly BandPoint[] {
  if (!runs.some((run) => run.corruption.some(isMeasured))) return [];
  return [0, ...SEVERITIES].flatMap((severity) => {
    const values = runs
      .map((run) => (severity === 0 ? run.targetAccuracy : run.corruption[severity - 1]))
      .filter(isMeasured);
    return values.length > 0 ? [bandPoint(severity, values)] : [];
  });
}

/** Bars of accuracy, both measures of sharpness, and time per step. */
export function barFigures(summary: Summary): readonly Markup[] {
  return (
    [
      ['targetAccuracy', 100, 'on the target test set'],
      [
        'topHessianEigenvalue',
        1,
        'of the training loss in the full parameter space; lower is flatter',
      ],
      [
        'meanLossRise',
        1,
        'of the training loss under Eq. 7 noise on the merged weights; lower is flatter',
      ],
      ['secondsPerStep', 1000, 'one optimiser step, on the machine named below'],
    ] as const
  ).flatMap(([id, factor, what]) => {
    const metric = metricById(id);
    if (metric === undefined) return [];
    const bars: readonly Bar[] = summary.methods.map((method, style) => ({
      label: method.label,
      text: aggregateText(aggregateMetric(method, metric), metric),
      style,
      values: method.runs
        .map(metric.read)
        .filter(isMeasured)
        .map((value) => value * factor),
    }));
    const chart = barChart({
      id: `bars-${id}`,
      title: metric.label,
      description: bars.map(({ label, text }) => `${label} ${text}`).join('; '),
      xLabel: `${inSentence(metric.label)}${metric.unit ? ` (${metric.unit})` : ''}`,
      bars,
    });
    const note = `${what}; bar and whisker: mean ± standard deviation, circles: seeds`;
    return chart === null ? [] : [figure(metric.label, note, chart)];
  });
}

/** Each surface in three dimensions and from above, on one scale; empty when none was computed. */
export function landscapeFigures({ landscape }: Summary): readonly Markup[] {
  const scale = landscape === null ? null : heightScale(landscape);
  if (landscape === null || scale === null) return [];
  return landscape.surfaces.map((surface, i) => {
    const facts = surfaceFacts(surface, landscape.x, landscape.y);
    return figure(
      surface.label,
      facts,
      surfaceChart(
        {
          id: `surface-${i}`,
          title: `Loss surface of ${surface.label} in three dimensions`,
          description: facts,
        },
        landscape,
        surface,
        scale,
      ),
      heatMap(
        {
          id: `map-${i}`,
          title: `Loss surface of ${surface.label} from above, with lines of equal loss`,
          description: facts,
        },
        landscape,
        surface,
        scale,
      ),
    );
  });
}

/** The figures that the picture shows, in words. */
function surfaceFacts(
  { loss }: LandscapeSurface,
  x: readonly number[],
  y: readonly number[],
): string {
  const all = loss.flat();
  const measured = all.filter(isMeasured);
  const low = measured.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = measured.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const centre = loss[y.indexOf(0)]?.[x.indexOf(0)];
  const missing = all.length - measured.length;
  return [
    `Loss from ${plain(low)} to ${plain(high)}`,
    isMeasured(centre) ? `, ${plain(centre)} at the trained model` : '',
    missing > 0 ? `; ${missing} of ${all.length} points not finite and left out` : '',
    '.',
  ].join('');
}
