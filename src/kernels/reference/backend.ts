/** The reference backend: interprets tapes in float64, one primitive at a time. */
import {
  avalOfHost,
  FlatloraError,
  flatData,
  type HostArray,
  hostArray,
  lookUp,
  printTape,
  type Tape,
} from '../../autodiff/index.js';
import type { Backend, DeviceArray, Executable } from '../backend.js';
import { inlineTape } from '../inline.js';
import { liveArrays } from '../liveArrays.js';
import { implementations } from './implementations.js';

const NAME = 'reference';

/** Runs a tape on host arrays. */
export function interpret(tape: Tape, inputs: readonly HostArray[]): readonly HostArray[] {
  const values = new Map(tape.inputs.map((v, i) => [v.id, inputs[i] as HostArray]));
  for (const { primitive, inputs: ins, params, outputs } of tape.equations) {
    const implementation = implementations[primitive.name];
    if (implementation === undefined) {
      throw new FlatloraError('backend', `${NAME}: primitive ${primitive.name} is not implemented`);
    }
    const [output] = outputs;
    if (output === undefined) continue;
    values.set(
      output.id,
      implementation(
        ins.map((v) => lookUp(values, v)),
        params,
        output,
      ),
    );
  }
  return tape.outputs.map((v) => lookUp(values, v));
}

/** A backend that computes in float64 with plain loops. */
export function referenceBackend(): Backend {
  const live = liveArrays<HostArray>(NAME);
  const hold = (array: HostArray): DeviceArray =>
    live.hold(avalOfHost(array), array, array.size * array.data.BYTES_PER_ELEMENT);
  const release = (array: DeviceArray) => void live.forget(array);
  /** A copy in double precision, so that later writes to the host array change nothing. */
  const copy = (array: HostArray): HostArray => {
    const data = flatData(array);
    return hostArray(
      data instanceof Float32Array ? Float64Array.from(data) : data.slice(),
      array.shape,
    );
  };
  return {
    name: NAME,
    precision: 64,
    upload: (array) => hold(copy(array)),
    download: async (array) => copy(live.handleOf(array)),
    release,
    memory: live.memory,
    compile: async (tape): Promise<Executable> => {
      const flat = inlineTape(tape);
      return {
        run: async (inputs, donated) => {
          const results = interpret(flat, inputs.map(live.handleOf)).map((x) => hold(copy(x)));
          inputs.forEach((x, i) => {
            if (donated[i]) release(x);
          });
          return results;
        },
        describe: () => printTape(flat),
        dispose: () => undefined,
      };
    },
    dispose: async () => live.close(),
  };
}
