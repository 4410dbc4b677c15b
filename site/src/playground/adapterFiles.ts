/** Adapters as the two files of PEFT, and back. */
import { orThrow } from '../../../src/autodiff/index.js';
import { decodeSafetensors, encodeSafetensors } from '../../../src/checkpoints/index.js';
import type { HostTree } from '../../../src/finetune/methods.js';
import { type PeftFiles, peftMethod, readPeft } from '../../../src/huggingface/index.js';
import type { NamedFile } from './protocol.js';
import type { Task } from './task.js';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';

export const filesOf = ({ config, tensors }: PeftFiles): readonly NamedFile[] => [
  { name: CONFIG, bytes: new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`) },
  {
    name: WEIGHTS,
    bytes: orThrow(encodeSafetensors({ tensors, metadata: new Map([['format', 'pt']]) })),
  },
];

const parsed = ({ name, bytes }: NamedFile): unknown => {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new Error(`${name} is not JSON`);
  }
};

/**
 * @param expected adapters of the running session: modules and shapes must be theirs.
 * @throws Error, in a sentence, for other files, other models, other ranks.
 */
export function adaptersOf(
  files: readonly NamedFile[],
  { architecture, config }: Pick<Task, 'architecture' | 'config'>,
  expected: HostTree,
): HostTree {
  const [json, weights] = ['.json', '.safetensors'].map((ending) =>
    files.find(({ name }) => name.endsWith(ending)),
  );
  if (json === undefined || weights === undefined) {
    throw new Error(`choose both files of an adapter: ${CONFIG} and ${WEIGHTS}`);
  }
  const { tensors } = orThrow(decodeSafetensors(weights.bytes));
  const arrays = new Map([...tensors].map(([name, { array }]) => [name, array]));
  const { adapters } = orThrow(
    peftMethod(orThrow(readPeft(architecture, config, parsed(json), arrays))),
  );
  for (const [path, layer] of Object.entries(expected)) {
    for (const [part, array] of Object.entries(layer)) {
      const given = adapters[path]?.[part];
      if (given?.shape.join() !== array.shape.join()) {
        throw new Error(
          `the adapter has ${given === undefined ? 'nothing' : `[${given.shape.join(', ')}]`} for ${path}.${part}, expected [${array.shape.join(', ')}]; choose the rank and the method that it was made with`,
        );
      }
    }
  }
  return adapters;
}
