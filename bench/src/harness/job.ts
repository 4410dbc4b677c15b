/**
 * What every engine is asked to do, as plain data: a kind of work, its sizes, and the files that hold
 * its arrays. Engines run in processes of their own (and one of them in Python), so a job is JSON and
 * its arrays are raw little-endian float32 or int32 files, the same for all.
 */

/** An array in a file, row-major. */
export interface TensorFile {
  readonly file: string;
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32';
}

/** C [m, n] = A·B; `a` is [m, k] or, transposed, [k, m]; `b` is [k, n] or [n, k]. */
export interface MatmulSpec {
  readonly kind: 'matmul';
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/**
 * loss = mean((W2·relu(W1·x + b1) + b2 − target)²), with the gradients of x and of all weights.
 * Arrays: x [rows, width], w1 [hidden, width], b1, w2 [width, hidden], b2, target [rows, width].
 */
export interface MlpSpec {
  readonly kind: 'mlp';
  readonly rows: number;
  readonly width: number;
  readonly hidden: number;
}

/** Σ g · attention(q, k, v) with the gradients of q, k and v; arrays [batch, tokens, heads, d]. */
export interface AttentionSpec {
  readonly kind: 'attention';
  readonly batch: number;
  readonly tokens: number;
  readonly heads: number;
  readonly d: number;
  readonly causal: boolean;
}

/** A transformer of pre-norm blocks with tanh-GELU, learned positions and biases. */
export interface ModelSize {
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly tokens: number;
  readonly batch: number;
}

/**
 * A whole training step: loss, its gradient in the LoRA factors of all linear layers of the blocks,
 * AdamW. With σ > 0 the loss is taken at the merged weights plus the noise of Flat-LoRA (Eq. 7).
 *
 * Arrays: weights under `w/<path>`, factors under `a/<path>.a` [r, inputs] and `.b` [outputs, r];
 * the ViT takes images [batch, height, width, channels] and labels [batch]; the decoder tokens and
 * targets [batch, tokens].
 */
export interface StepSpec {
  readonly kind: 'step';
  readonly family: 'vit' | 'decoder';
  readonly size: ModelSize;
  readonly classes: number;
  /** Side of a patch and numbers per pixel; ViT only. */
  readonly patch: number;
  readonly channels: number;
  readonly rank: number;
  readonly alpha: number;
  readonly sigma: number;
  readonly learningRate: number;
  readonly weightDecay: number;
}

export type Spec = MatmulSpec | MlpSpec | AttentionSpec | StepSpec;

export interface Job<S extends Spec = Spec> {
  readonly spec: S;
  readonly tensors: Readonly<Record<string, TensorFile>>;
}

/** What a result is compared by: its root mean square and a few elements, evenly spread. */
export interface Digest {
  readonly rms: number;
  readonly samples: readonly number[];
}

/** Times of two, by round. */
export interface PairedTimes {
  readonly subject: readonly number[];
  readonly peer: readonly number[];
}

export type Digests = Readonly<Record<string, Digest>>;

/** What only flatlora is asked: what its compiler does, and the memory that a step takes. */
export interface StepFacts {
  /** Equations of the simplified tape. */
  readonly equations: number;
  /** Milliseconds of tracing and simplifying. */
  readonly traceMs: number;
  /** Milliseconds of a compilation: tracing, planning, code, the engine's own compiler. */
  readonly compileMs: number;
  /** Bytes alive between steps for this job. */
  readonly liveBytes: number;
  /** The most that was alive in the process so far, intermediates included. */
  readonly peakBytes: number;
  /** What the plan cannot do without: inputs, constants, outputs, and the most that lives at once. */
  readonly lowerBoundBytes: number | null;
}

/** One prepared job inside an engine. */
export interface Runner {
  /** Runs the job and tells its results. For a training step: losses and gradient norms of three. */
  readonly results: () => Promise<Digests>;
  /** Runs the job once more and returns when it is done. */
  readonly run: () => Promise<void>;
  readonly facts?: () => Promise<StepFacts>;
  readonly dispose: () => Promise<void> | void;
}

/** An engine's own words about itself. */
export interface EngineInfo {
  readonly name: string;
  readonly version: string;
  /** Threads that compute; undefined where it is a GPU. */
  readonly threads?: number;
  /** Relative rounding of its arithmetic, where that is coarser than float32's. */
  readonly epsilon?: number;
  readonly note?: string;
}

/** What a peer's module exports as `engine`. */
export interface Engine {
  readonly info: EngineInfo;
  /** @throws Error where the engine lacks something that the job needs; its message is told to the user. */
  readonly prepare: (job: Job) => Promise<Runner>;
  /** The milliseconds of two training steps that take turns a few kernels at a time; only flatlora is asked. */
  readonly inTurns?: (pair: readonly [Job, Job], rounds: number) => Promise<PairedTimes>;
}
