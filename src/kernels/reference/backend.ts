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
import { type Backend, type DeviceArray, type Executable, requireOwn } from '../backend.js';
import { inlineCheckpoints } from '../inline.js';
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
  const live = new Map<DeviceArray, number>();
  let bytes = 0;
  let peakBytes = 0;
  const hold = (array: HostArray): DeviceArray => {
    const held: DeviceArray = {
      _tag: 'DeviceArray',
      backend: NAME,
      ...avalOfHost(array),
      handle: array,
    };
    const size = array.size * array.data.BYTES_PER_ELEMENT;
    live.set(held, size);
    bytes += size;
    peakBytes = Math.max(peakBytes, bytes);
    return held;
  };
  const release = (array: DeviceArray) => {
    bytes -= live.get(requireOwn(NAME, array)) ?? 0;
    live.delete(array);
  };
  const hostOf = (array: DeviceArray): HostArray => {
    if (!live.has(requireOwn(NAME, array))) {
      throw new FlatloraError('backend', `${NAME}: the array was released or donated before`);
    }
    return array.handle as HostArray;
  };
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
    download: async (array) => copy(hostOf(array)),
    release,
    memory: () => ({ buffers: live.size, bytes, peakBytes }),
    compile: async (tape): Promise<Executable> => {
      const flat = inlineCheckpoints(tape);
      return {
        run: async (inputs, donated) => {
          const results = interpret(flat, inputs.map(hostOf)).map((x) => hold(copy(x)));
          inputs.forEach((x, i) => {
            if (donated[i]) release(x);
          });
          return results;
        },
        describe: () => printTape(flat),
        dispose: () => undefined,
      };
    },
    dispose: async () => {
      live.clear();
      bytes = 0;
    },
  };
}
