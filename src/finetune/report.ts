/** The report of a run: its curves, what came of it and the settings that repeat it, as one page. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { LineChart } from '../report/parts.js';
import type { FinetuneResult } from './finetune.js';
import { renderPage } from './page.js';
import { type MetricsLine, writeWhole } from './runFolder.js';
import type { FinetuneSettings } from './settings.js';

const short = (x: number): string => String(Number(x.toPrecision(4)));

/** Lines of training, each the mean of a hundredth of the run, so that a curve is a curve. */
function smoothed(points: readonly (readonly [number, number])[]): readonly [number, number][] {
  const group = Math.max(1, Math.ceil(points.length / 100));
  return Array.from({ length: Math.ceil(points.length / group) }, (_, i) => {
    const some = points.slice(i * group, (i + 1) * group);
    const mean = some.reduce((sum, [, y]) => sum + y, 0) / some.length;
    return [some.at(-1)?.[0] ?? 0, mean];
  });
}

function chart(
  id: string,
  title: string,
  yLabel: string,
  series: readonly {
    readonly label: string;
    readonly points: readonly (readonly [number, number])[];
  }[],
): LineChart {
  return {
    id,
    title,
    description: `${title} by step${series.length > 1 ? `: ${series.map(({ label }) => label).join(', ')}` : ''}.`,
    xLabel: 'step',
    yLabel,
    spread: 'band',
    fromZero: false,
    format: short,
    series: series.map(({ label, points }, style) => ({
      label,
      style,
      points: points.map(([x, y]) => ({ x, mean: y, low: y, high: y })),
    })),
  };
}

/** Writes `report.html` and `result.json` into the run's folder. */
export async function writeRunReport(
  settings: FinetuneSettings,
  result: FinetuneResult,
): Promise<void> {
  const text = await readFile(path.join(settings.out, 'metrics.jsonl'), 'utf8');
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as MetricsLine);
  const curve = (name: string) =>
    lines.flatMap((line) =>
      line[name] === undefined ? [] : [[line.step, line[name] as number] as const],
    );
  const validation = [...new Set(lines.flatMap((line) => Object.keys(line)))].filter((name) =>
    name.startsWith('validation/'),
  );
  const losses = [
    { label: 'training', points: smoothed(curve('train/loss')) },
    { label: 'validation', points: curve('validation/loss') },
  ].filter(({ points }) => points.length > 0);
  const page = renderPage({
    title: `${settings.method} on ${path.basename(settings.model)}`,
    facts: [
      ['Examples', settings.train],
      ['Steps', String(result.steps)],
      ['Trained', `${result.trainedParameters} of ${result.parameters} numbers`],
      ['Backend', result.backend],
      ['Peak memory of the device', `${(result.peakBytes / 2 ** 20).toFixed(0)} MiB`],
      ...(result.best === undefined
        ? []
        : ([
            [
              'Best evaluation',
              `after step ${result.best.step}: ${Object.entries(result.best.metrics)
                .map(([name, x]) => `${name} ${short(x)}`)
                .join(', ')}`,
            ],
          ] as const)),
    ],
    charts: [
      chart('loss', 'Loss', 'loss (nats)', losses),
      ...validation
        .filter((name) => name !== 'validation/loss')
        .map((name) =>
          chart(
            name.replace('/', '-'),
            `Validation: ${name.split('/')[1]}`,
            name.split('/')[1] ?? '',
            [{ label: name, points: curve(name) }],
          ),
        ),
    ],
    tables: [
      {
        caption: 'Settings',
        head: ['Field', 'Value'],
        rows: Object.entries(settings).map(([name, value]) => [
          name,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]),
      },
    ],
  });
  await writeWhole(path.join(settings.out, 'report.html'), page);
  await writeWhole(path.join(settings.out, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
}
