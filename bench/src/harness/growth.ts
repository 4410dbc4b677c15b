/** Measures growth: every size in a process of its own, so that peak memory is that size's alone. */
import type { Growth } from '../report/results.js';
import type { GrowthSeries } from '../works/growth.js';
import { stepTensors } from '../works/models.js';
import type { Missing, Timing } from './compare.js';
import type { StepFacts } from './job.js';
import { type Launch, startEngine } from './process.js';
import { exponentOf, median, repeatsFor } from './statistics.js';
import { inTemporaryFiles } from './tensors.js';

const SAMPLES = 7;

/** Median milliseconds of a step, and the facts about it. */
async function measurePoint(
  launch: Launch,
  { spec }: GrowthSeries['points'][number],
  { sampleMs, leastRounds }: Timing,
): Promise<{ readonly stepMs: number; readonly facts: StepFacts }> {
  const engine = startEngine(launch);
  try {
    return await inTemporaryFiles(stepTensors(spec), async (tensors) => {
      await engine.prepare('growth', { spec, tensors });
      const estimate = await engine.run('growth', 2);
      const repeats = repeatsFor(estimate, sampleMs);
      const times: number[] = [];
      for (let i = 0; i < Math.min(SAMPLES, leastRounds); i++) {
        times.push(await engine.run('growth', repeats));
      }
      return { stepMs: median(times), facts: await engine.facts('growth') };
    });
  } finally {
    engine.end();
  }
}

export async function measureGrowth(
  series: GrowthSeries,
  launch: Launch,
  timing: Timing,
): Promise<{ readonly growth: readonly Growth[]; readonly missing: readonly Missing[] }> {
  const { work, what, unit, value, size } = series;
  try {
    const points: { size: number; value: number }[] = [];
    for (const point of series.points) {
      const { stepMs, facts } = await measurePoint(launch, point, timing);
      const at = value(stepMs, facts);
      if (at === undefined) throw new Error('the backend does not tell');
      points.push({ size: size?.(facts) ?? point.size, value: at });
    }
    return { growth: [{ what, unit, points, exponent: exponentOf(points) }], missing: [] };
  } catch (cause) {
    const reason = (cause as Error).message;
    return { growth: [], missing: [{ work, peer: 'flatlora', reason }] };
  }
}
