/** `flatlora sharpness`: how flat the loss is around a model's weights. */
import { foldIn, key } from '../../autodiff/index.js';
import { lookAt } from '../../finetune/index.js';
import {
  hessianTrace,
  meanLossRise,
  topHessianEigenvalue,
  worstCaseRise,
} from '../../flatlora/index.js';
import { type Command, type Flag, onlyKnown } from '../command.js';
import { EXIT } from '../exit.js';
import { LOOK_FLAGS, lookOptions } from '../look.js';

const FLAGS: readonly Flag[] = [
  ...LOOK_FLAGS,
  { field: 'sigma', kind: 'number', help: 'σ of the noise of Eq. 7 (default: 0.05)' },
  { field: 'samples', kind: 'number', help: 'draws of the noise and of the trace (default: 16)' },
  { field: 'rho', kind: 'number', help: 'radius of the worst case (default: 0.05)' },
];

export const sharpnessCommand: Command = {
  name: 'sharpness',
  summary: 'curvature and rise of the loss around a model, in the full parameter space',
  examples: ['flatlora sharpness --model ./llama --adapter run/adapter --data data.jsonl'],
  flags: FLAGS,
  run: async (given, { out, err }) => {
    onlyKnown(given, FLAGS);
    const {
      sigma = 0.05,
      samples = 16,
      rho = 0.05,
      seed = 0,
    } = given as Readonly<Record<string, number>>;
    const own = key(seed);
    const found = await lookAt(lookOptions(given), async (look) => {
      const { runner, loss, weights, batches } = look;
      err(`${look.examples} examples on ${look.backend.name}`);
      const rise = await meanLossRise(runner, loss, weights, batches, {
        sigma,
        samples,
        key: foldIn(own, 0),
      });
      err('mean rise measured; the worst case comes next');
      const worst = await worstCaseRise(runner, loss, weights, batches, { rho, steps: 3 });
      err('worst case measured; the largest eigenvalue comes next');
      const top = await topHessianEigenvalue(runner, loss, weights, batches, {
        key: foldIn(own, 1),
      });
      err('eigenvalue measured; the trace comes next');
      const trace = await hessianTrace(runner, loss, weights, batches, {
        key: foldIn(own, 2),
        samples: Math.max(2, samples),
      });
      return {
        examples: look.examples,
        loss: rise.loss,
        meanRise: { sigma, value: rise.rise, standardError: rise.standardError },
        worstRise: { rho, value: worst.rise },
        topEigenvalue: { value: top.eigenvalue, converged: top.converged },
        trace: { value: trace.trace, low: trace.low, high: trace.high },
      };
    });
    const short = (x: number) => x.toPrecision(4);
    out(found, () =>
      [
        `loss: ${short(found.loss)}`,
        `mean rise at σ = ${sigma}: ${short(found.meanRise.value)} ± ${short(found.meanRise.standardError)}`,
        `worst rise within ρ = ${rho}: ${short(found.worstRise.value)}`,
        `largest eigenvalue of the Hessian: ${short(found.topEigenvalue.value)}${found.topEigenvalue.converged ? '' : ' (not converged)'}`,
        `trace of the Hessian: ${short(found.trace.value)} (95 %: ${short(found.trace.low)} to ${short(found.trace.high)})`,
      ].join('\n'),
    );
    return EXIT.ok;
  },
};
