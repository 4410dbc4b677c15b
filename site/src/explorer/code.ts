/** The plan of a tape, and the code that each backend makes of it. Nothing is run, so no device is needed. */
import type { Equation, Tape, Var } from '../../../src/autodiff/index.js';
import { MAX_READS } from '../../../src/kernels/gpujs/backend.js';
import { printKernel as printGpuJs } from '../../../src/kernels/gpujs/source.js';
import { withoutHalf } from '../../../src/kernels/gpujs/withoutHalf.js';
import { inlineTape } from '../../../src/kernels/inline.js';

import { bytesOf, placeIntermediates } from '../../../src/kernels/plan/memory.js';
import {
  type FusedLimits,
  outputsOf,
  planTape,
  printPlan,
} from '../../../src/kernels/plan/plan.js';
import { prepare } from '../../../src/kernels/plan/prepare.js';
import { GENERATOR } from '../../../src/kernels/wasm/backend.js';
import { fusionFor } from '../../../src/kernels/webgpu/planning.js';
import { stepsOf } from '../../../src/kernels/webgpu/steps.js';

export interface KernelView {
  /** `b7: float[4]` */
  readonly fills: string;
  readonly reads: readonly string[];
  /** The equations that are computed inside this kernel, without memory between them. */
  readonly equations: readonly string[];
}

export interface PlanView {
  readonly text: string;
  readonly kernels: readonly KernelView[];
  readonly places: readonly { readonly name: string; readonly from: number; readonly to: number }[];
}

const nameOf = (v: Var): string => `b${v.id}`;
const typed = (v: Var): string => `${nameOf(v)}: ${v.dtype}[${v.shape.join(',')}]`;

/** What stands between a kernel's results and what it reads. */
function equationsOf(
  definitions: ReadonlyMap<number, Equation>,
  outputs: readonly Var[],
  reads: readonly Var[],
): readonly Equation[] {
  const known = new Set(reads.map((v) => v.id));
  const found = new Set<Equation>();
  const visit = (v: Var): void => {
    const equation = known.has(v.id) ? undefined : definitions.get(v.id);
    if (equation === undefined || found.has(equation)) return;
    equation.inputs.forEach(visit);
    found.add(equation);
  };
  outputs.forEach(visit);
  return [...found];
}

/** The plan as WebAssembly gets it. */
export function planView(tape: Tape): PlanView {
  const limits: FusedLimits = GENERATOR.limits;
  const plan = planTape(tape, limits);
  const prepared = prepare(inlineTape(tape, limits.fused), limits);
  const definitions = new Map(
    prepared.equations.flatMap((e) => e.outputs.map((v) => [v.id, e] as const)),
  );
  return {
    text: printPlan(plan),
    kernels: plan.kernels.map((kernel) => ({
      fills: outputsOf(kernel).map(typed).join(', '),
      reads: kernel.reads.map(nameOf),
      equations: equationsOf(definitions, outputsOf(kernel), kernel.reads)
        .filter(({ primitive }) => primitive.name !== 'constant')
        .map(
          ({ primitive, inputs, outputs }) =>
            `${outputs.map(typed).join(', ')} = ${primitive.name} ${inputs.map(nameOf).join(' ')}`,
        ),
    })),
    places: placeIntermediates(plan).places.map(({ variable, offset }) => ({
      name: typed(variable),
      from: offset,
      to: offset + bytesOf(variable),
    })),
  };
}

export const LANGUAGES = ['wgsl', 'gpujs', 'wasm'] as const;
export type Language = (typeof LANGUAGES)[number];

/** What every WebGPU device has. */
const LEAST = { bindings: 8, lanes: 256, workgroupBytes: 16384 };

/** As a device with the least that WebGPU guarantees would get it. */
function wgsl(tape: Tape): string {
  const fused: FusedLimits['fused'] = new Set(['attention', 'attentionBackward']);
  const plan = planTape(tape, { ...fusionFor(LEAST.bindings), fused });
  const steps = stepsOf(plan, {
    layout: { pieceBytes: 2 ** 27 },
    limits: { lanes: LEAST.lanes, workgroupBytes: LEAST.workgroupBytes },
    bindings: LEAST.bindings,
    precision: 'f32',
    matrixUnit: undefined,
    choose: (_, tilings) => tilings[0],
  });
  if (steps === undefined)
    return '// Attention is too large for one kernel and runs as it is defined.';
  return steps
    .map(({ name, code }) => `// ${name}, ${code.workgroups} workgroups\n${code.source}`)
    .join('\n\n');
}

const gpujs = (tape: Tape): string =>
  planTape(withoutHalf(tape), { maxReads: MAX_READS.webgl2 })
    .kernels.map((kernel) => {
      const { source, output } = printGpuJs(kernel, 'webgl2');
      return `// ${typed(kernel.output)}, ${output.join(' × ')} threads, reads ${kernel.reads.map(nameOf).join(' ')}\n${source}`;
    })
    .join('\n\n');

async function wasm(tape: Tape): Promise<string> {
  const plan = planTape(tape, GENERATOR.limits);
  const { bytes } = GENERATOR.build(plan, { relaxed: false, shared: false, normalTable: 0 });
  const { default: open } = await import('wabt');
  const module = (await open()).readWasm(bytes, { simd: true, threads: true });
  const text = module.toText({ foldExprs: true, inlineExport: true });
  module.destroy();
  return text;
}

/** @throws Error where a backend cannot run the tape, with its reason. */
export const codeOf = async (tape: Tape, language: Language): Promise<string> =>
  language === 'wgsl' ? wgsl(tape) : language === 'gpujs' ? gpujs(tape) : wasm(tape);
