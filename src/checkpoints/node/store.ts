/** Training states in a folder (Node): the last one and the one before. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as O from 'fp-ts/lib/Option.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type Problem, problem } from '../../autodiff/index.js';
import type { Json } from '../configuration.js';
import {
  type CheckpointStore,
  decodeTrainingState,
  encodeTrainingState,
  type Loaded,
  matchTrainingState,
  type TrainingState,
} from '../trainingState.js';
import { errorCode, readBytes, writeBytesAtomically } from './files.js';

const KEPT = 2;

const NAME = /^step-(\d{1,15})\.safetensors$/;
const LEFTOVER = /^step-(\d{1,15})\.safetensors\.tmp$/;

const nameOf = (step: number): string => `step-${String(step).padStart(8, '0')}.safetensors`;

interface Named {
  readonly name: string;
  readonly step: number;
}

/** The files whose name has the pattern, newest first. */
const matching = (names: readonly string[], pattern: RegExp): readonly Named[] =>
  names
    .flatMap((name) => {
      const step = pattern.exec(name)?.[1];
      return step === undefined ? [] : [{ name, step: Number(step) }];
    })
    .sort((a, b) => b.step - a.step);

const list = (folder: string): TE.TaskEither<Problem, readonly string[]> =>
  TE.tryCatch(
    async () => {
      try {
        return await readdir(folder);
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return [];
        throw error;
      }
    },
    (error) => problem('checkpoint', `cannot list ${folder}: ${errorCode(error)}`),
  );

/** Removes states that are not kept any more, and what interrupted writes have left behind. */
const prune = (folder: string, saved: number): TE.TaskEither<Problem, void> =>
  pipe(
    list(folder),
    TE.flatMap((names) =>
      TE.tryCatch(
        async () => {
          // A state beyond the saved one is of a future that this run has left (a damaged file that
          // was passed over): it must not be taken for the newest again.
          const states = matching(names, NAME);
          const kept = states.filter(({ step }) => step <= saved).slice(0, KEPT);
          const doomed = [
            ...states.filter((state) => !kept.includes(state)),
            ...matching(names, LEFTOVER),
          ];
          for (const { name } of doomed) await rm(path.join(folder, name), { force: true });
        },
        (error) => problem('checkpoint', `cannot clean up ${folder}: ${errorCode(error)}`),
      ),
    ),
  );

/** Reads the files from the newest on until one is whole. */
const newestWhole = (
  folder: string,
  files: readonly Named[],
  attempt: (bytes: Uint8Array) => E.Either<Problem, E.Either<Problem, TrainingState>>,
  passedOver: readonly string[] = [],
): TE.TaskEither<Problem, Loaded<TrainingState>> => {
  const [newest, ...older] = files;
  if (newest === undefined) {
    return TE.left(
      problem('checkpoint', `no checkpoint of ${folder} is whole: ${passedOver.join('; ')}`),
    );
  }
  const file = path.join(folder, newest.name);
  return pipe(
    readBytes(file),
    TE.flatMap((bytes) =>
      pipe(
        attempt(bytes),
        E.match(
          // Damaged: the one before it may be whole. This is told, never hidden.
          ({ message }) =>
            newestWhole(folder, older, attempt, [
              ...passedOver,
              `${file} is damaged and was passed over (${message})`,
            ]),
          E.match(
            ({ kind, message }) => TE.left(problem(kind, `${file}: ${message}`)),
            (state) => TE.right({ state, passedOver }),
          ),
        ),
      ),
    ),
  );
};

/**
 * A checkpoint store in a folder of its own, which is made when first needed. Files are called
 * `step-00000120.safetensors` and written atomically: a process may be killed at any moment and
 * loses at most the work since its last save.
 */
export const nodeCheckpoints = (folder: string): CheckpointStore => ({
  save: (state, configuration) =>
    pipe(
      TE.fromEither(encodeTrainingState(state, configuration)),
      TE.tap(() =>
        TE.tryCatch(
          () => mkdir(folder, { recursive: true }),
          (error) => problem('checkpoint', `cannot make ${folder}: ${errorCode(error)}`),
        ),
      ),
      TE.flatMap((bytes) => writeBytesAtomically(path.join(folder, nameOf(state.step)), bytes)),
      TE.flatMap(() => prune(folder, state.step)),
    ),
  load: <P, Opt>(template: TrainingState<P, Opt>, configuration: Json) =>
    pipe(
      list(folder),
      TE.flatMap((names): TE.TaskEither<Problem, O.Option<Loaded<TrainingState<P, Opt>>>> => {
        const files = matching(names, NAME);
        if (files.length === 0) return TE.right(O.none);
        return pipe(
          newestWhole(folder, files, (bytes) =>
            pipe(
              decodeTrainingState(bytes),
              E.map((decoded) => matchTrainingState(decoded, template, configuration)),
            ),
          ),
          TE.map((loaded) => O.some(loaded as Loaded<TrainingState<P, Opt>>)),
        );
      }),
    ),
});
