/** What merged weights say to a drawing or to the beginning of a text. */
import { type HostArray, hostArray, softmax, type Value } from '../../../src/autodiff/index.js';
import { completions, decoderPrograms } from '../../../src/generation/index.js';
import { type Backend, compile, download, release } from '../../../src/kernels/index.js';
import type { Task } from './task.js';

export type Answer =
  | { readonly kind: 'image'; readonly probabilities: readonly number[] }
  | { readonly kind: 'text'; readonly text: string };

const isImage = (question: Float32Array | string): question is Float32Array =>
  typeof question !== 'string';

/** Of merged weights on the device. */
export async function answer(
  { ask }: Task,
  backend: Backend,
  weights: unknown,
  question: Float32Array | string,
): Promise<Answer> {
  if (ask.kind === 'image' && isImage(question)) {
    const classify = compile((w: never, x: Value) => softmax(ask.logits(w, x), -1), backend);
    const given = hostArray(question, [1, 16, 16]);
    const out = await classify(weights, given);
    const { data } = (await download(backend, out)) as unknown as HostArray;
    release(backend, out);
    await classify.dispose();
    return { kind: 'image', probabilities: Array.from(data as Float32Array) };
  }
  if (ask.kind === 'text' && !isImage(question)) {
    const programs = decoderPrograms(ask.decoder, backend, { length: ask.maxLength });
    const prompt = ask.encode(question).slice(-ask.maxLength / 2);
    const [tokens] = await completions(programs, weights, [prompt], { maxTokens: 40 });
    await programs.dispose();
    return { kind: 'text', text: ask.decode(tokens ?? []) };
  }
  throw new Error(`this model answers ${ask.kind === 'image' ? 'drawings' : 'texts'}`);
}
