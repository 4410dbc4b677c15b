/**
 * The state of a training run as one safetensors file: parameters, optimiser state, the number of
 * the next step, the run's key, and the configuration that it belongs to. Arrays are stored as they
 * are in memory, so a run that continues from the file continues bit for bit.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import type { Option } from 'fp-ts/lib/Option.js';
import type { TaskEither } from 'fp-ts/lib/TaskEither.js';
import {
  fail,
  type HostArray,
  ints,
  type Key,
  type Problem,
  type Result,
} from '../autodiff/index.js';
import { canonicalJson, differences, type Json } from './configuration.js';
import { decodeSafetensors, encodeSafetensors, type Safetensors } from './safetensors/codec.js';
import { tensorsOfTree, treeOfTensors } from './trees.js';

const FORMAT = 'flatlora training state 1';

/** Where a run stands before step number `step`. Trees have host arrays as leaves. */
export interface TrainingState<P = unknown, O = unknown> {
  readonly params: P;
  readonly optimiser: O;
  /** How many optimisation steps are done; also the number of the next one, from 0. */
  readonly step: number;
  readonly runKey: Key;
}

/** What a load found, and what it had to pass over, each with the reason. */
export interface Loaded<S> {
  readonly state: S;
  /** One message per damaged newer checkpoint; to be shown to the user. */
  readonly passedOver: readonly string[];
}

/** A place that keeps the last two states of one run. `nodeCheckpoints` is the one on disk. */
export interface CheckpointStore {
  /** Keeps a state, and the one kept before it. */
  readonly save: (state: TrainingState, configuration: Json) => TaskEither<Problem, void>;
  /**
   * The newest state that is whole, in trees like the template's; `none` where nothing was saved.
   * A state of another configuration is a problem that names the difference.
   */
  readonly load: <P, O>(
    template: TrainingState<P, O>,
    configuration: Json,
  ) => TaskEither<Problem, Option<Loaded<TrainingState<P, O>>>>;
}

/** The state as the bytes of a file. */
export const encodeTrainingState = (
  { params, optimiser, step, runKey }: TrainingState,
  configuration: Json,
): Result<Uint8Array> =>
  pipe(
    tensorsOfTree({ params, optimiser, step: ints([step], []), runKey }),
    E.flatMap((tensors) =>
      encodeSafetensors({
        tensors,
        metadata: new Map([
          ['format', FORMAT],
          ['configuration', canonicalJson(configuration)],
        ]),
      }),
    ),
  );

function configurationOf({ metadata }: Safetensors): Result<Json> {
  if (metadata.get('format') !== FORMAT) {
    return fail('checkpoint', `no training state: format is not "${FORMAT}"`);
  }
  return E.tryCatch(
    () => JSON.parse(metadata.get('configuration') ?? '') as Json,
    () => ({ kind: 'checkpoint', message: 'the configuration is not valid JSON' }),
  );
}

/** What a decoded file says, still to be compared with the run that wants to continue. */
export interface DecodedState {
  readonly file: Safetensors;
  readonly configuration: Json;
}

/** The first half of reading: whether the bytes are a whole training state at all. */
export const decodeTrainingState = (bytes: Uint8Array): Result<DecodedState> =>
  pipe(
    decodeSafetensors(bytes, { keepHalf: true }),
    E.flatMap((file) =>
      pipe(
        configurationOf(file),
        E.map((configuration) => ({ file, configuration })),
      ),
    ),
  );

const DIFFERENCES_SHOWN = 3;

/** The second half: the state in the template's trees, if it is one of the same configuration. */
export function matchTrainingState<P, O>(
  { file, configuration: saved }: DecodedState,
  template: TrainingState<P, O>,
  configuration: Json,
): Result<TrainingState<P, O>> {
  const different = differences(saved, configuration);
  if (different.length > 0) {
    const shown = different.slice(0, DIFFERENCES_SHOWN).join('; ');
    const more = different.length - DIFFERENCES_SHOWN;
    return fail(
      'checkpoint',
      `made with another configuration: ${shown}${more > 0 ? `; and ${more} more` : ''}`,
    );
  }
  const { params, optimiser, runKey } = template;
  return pipe(
    treeOfTensors({ params, optimiser, runKey, step: ints([0], []) as HostArray }, file.tensors),
    E.flatMap((state) => {
      const step = state.step.get() as number;
      return step >= 0
        ? E.right({ ...state, step })
        : fail('checkpoint', `step is ${step}, expected a count`);
    }),
  );
}
