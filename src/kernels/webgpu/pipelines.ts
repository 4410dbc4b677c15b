/** Compiled kernels by their source: layers of one shape share them, and programs do. */
import { FlatloraError } from '../../autodiff/index.js';

/** What a kernel is compiled from. */
export interface PipelineSource {
  readonly source: string;
  /** Bindings that are written, then those that are only read. */
  readonly written: number;
  readonly read: number;
}

export interface Pipelines {
  readonly of: (source: PipelineSource) => Promise<GPUComputePipeline>;
  readonly layout: (written: number, read: number) => GPUBindGroupLayout;
}

/** More than this many are not kept for later programs; those in use stay with their programs. */
const KEPT = 1024;

export function pipelineCache(device: GPUDevice): Pipelines {
  const layouts = new Map<string, GPUBindGroupLayout>();
  const pipelines = new Map<string, Promise<GPUComputePipeline>>();
  const layout = (written: number, read: number): GPUBindGroupLayout => {
    const key = `${written} ${read}`;
    const known = layouts.get(key);
    if (known !== undefined) return known;
    const made = device.createBindGroupLayout({
      entries: Array.from({ length: written + read }, (_, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: binding < written ? 'storage' : 'read-only-storage' },
      })),
    });
    layouts.set(key, made);
    return made;
  };
  const make = async ({ source, written, read }: PipelineSource): Promise<GPUComputePipeline> => {
    // The device reports what is wrong with a shader to a scope, not to who made it.
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: source });
    const made = device.createComputePipelineAsync({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout(written, read)] }),
      compute: { module, entryPoint: 'main' },
    });
    const invalid = device.popErrorScope();
    const [pipeline, problem] = await Promise.all([
      made.catch((cause: unknown) => cause as Error),
      invalid,
    ]);
    if (pipeline instanceof Error || problem !== null) {
      const message = problem?.message ?? (pipeline as Error).message;
      throw new FlatloraError(
        'backend',
        `webgpu: a kernel does not compile: ${message}\n${source}`,
      );
    }
    return pipeline as GPUComputePipeline;
  };
  return {
    layout,
    of: (wanted) => {
      const known = pipelines.get(wanted.source);
      if (known !== undefined) return known;
      const made = make(wanted);
      pipelines.set(wanted.source, made);
      const [oldest] = pipelines.keys();
      if (pipelines.size > KEPT && oldest !== undefined) pipelines.delete(oldest);
      return made;
    },
  };
}
