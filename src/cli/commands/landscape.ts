/** `flatlora landscape`: the loss around a model's weights as a picture. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { foldIn, key } from '../../autodiff/index.js';
import { lookAt, renderPage, writeWhole } from '../../finetune/index.js';
import { filterNormalisedDirection, lossLines, lossSurface } from '../../flatlora/index.js';
import { heightScale, landscapeLines, landscapeOf, surfaceChart } from '../../report/parts.js';
import { type Command, type Flag, onlyKnown, required } from '../command.js';
import { EXIT } from '../exit.js';
import { LOOK_FLAGS, lookOptions } from '../look.js';

const FLAGS: readonly Flag[] = [
  ...LOOK_FLAGS,
  { field: 'out', kind: 'text', help: 'folder for landscape.html and landscape.json' },
  { field: 'range', kind: 'number', help: 'how far, in row norms (default: 1)' },
  { field: 'points', kind: 'number', help: 'points of a side of the surface (default: 15)' },
];

export const landscapeCommand: Command = {
  name: 'landscape',
  summary: 'the loss along random filter-normalised directions, as lines and as a surface',
  examples: ['flatlora landscape --model ./vit --adapter run/adapter --data images/ --out picture'],
  flags: FLAGS,
  run: async (given, { out, err }) => {
    onlyKnown(given, FLAGS);
    const folder = required(given, 'out');
    const { range = 1, points = 15, seed = 0 } = given as Readonly<Record<string, number>>;
    const own = key(seed);
    const found = await lookAt(lookOptions(given), async (look) => {
      const { runner, loss, weights, batches, examples } = look;
      err(`${examples} examples on ${look.backend.name}`);
      const lines = await lossLines(runner, loss, weights, batches, {
        key: foldIn(own, 0),
        range,
        points,
      });
      err('lines measured; the surface comes next');
      const directions = [1, 2].map((n) => filterNormalisedDirection(weights, foldIn(own, n)));
      const surface = await lossSurface(
        runner,
        loss,
        weights,
        batches,
        directions as [unknown, unknown],
        { range, points },
      );
      return { lines, surface, examples };
    });
    const of = `loss of ${found.examples} examples`;
    const landscape = landscapeOf(`The ${of} along two random filter-normalised directions.`, [
      { method: 'model', label: 'model', surface: found.surface },
    ]);
    const [surface] = landscape.surfaces;
    const scale = heightScale(landscape);
    const page = renderPage({
      title: 'Loss landscape',
      facts: [
        ['Model', required(given, 'model')],
        ['Adapter', String(given.adapter ?? 'none')],
      ],
      charts: [landscapeLines({ id: 'lines', of }, [{ label: 'model', style: 0, ...found.lines }])],
      tables: [],
      pictures:
        surface === undefined || scale === null
          ? []
          : [
              surfaceChart(
                { id: 'surface', title: 'Surface', description: landscape.description },
                landscape,
                surface,
                scale,
              ),
            ],
    });
    await mkdir(folder, { recursive: true });
    const file = path.join(folder, 'landscape.html');
    await writeWhole(file, page);
    await writeWhole(path.join(folder, 'landscape.json'), `${JSON.stringify(found)}\n`);
    out({ saved: file, ...found }, () => `wrote ${file}`);
    return EXIT.ok;
  },
};
