/**
 * Keys that are derived by a number in the kernel's text, such as a layer's id, would each take a kernel
 * of their own to compile, which is slow on a GPU. With the number in memory, one kernel derives them all.
 */
import { hostArray, range, storage, type Var } from '../../autodiff/index.js';
import type { Expression, Kernel } from '../plan/expression.js';
import type { Constant, Plan } from '../plan/plan.js';

type DerivedWord = Extract<Expression, { kind: 'derivedWord' }>;

/** A number as a word in memory. */
function wordConstant(number: number, id: number): Constant {
  const data = storage('uint', 1, 32);
  data[0] = number >>> 0;
  return { variable: { id, shape: [1], dtype: 'uint' }, value: hostArray(data, [1]) };
}

const known = (kernel: Kernel): number | undefined =>
  kernel.body.kind === 'derivedWord' && kernel.body.data.kind === 'number'
    ? kernel.body.data.value
    : undefined;

/** The plan with the numbers of its derived keys among its constants. */
export function keyNumbersInMemory(plan: Plan): Plan {
  const numbers = [...new Set(plan.kernels.flatMap((kernel) => known(kernel) ?? []))];
  const lastId = Math.max(
    ...[...plan.inputs, ...plan.constants.map((c) => c.variable)].map((v) => v.id),
    ...plan.kernels.map((kernel) => kernel.output.id),
  );
  const words = new Map(
    range(numbers.length).map((i) => [
      numbers[i] as number,
      wordConstant(numbers[i] as number, lastId + 1 + i),
    ]),
  );
  const rewritten = (kernel: Kernel): Kernel => {
    const buffer: Var | undefined = words.get(known(kernel) ?? Number.NaN)?.variable;
    if (buffer === undefined) return kernel;
    const data: Expression = { kind: 'load', buffer, at: { constant: 0, terms: [] } };
    return {
      ...kernel,
      body: { ...(kernel.body as DerivedWord), data },
      reads: [...kernel.reads, buffer],
    };
  };
  return {
    ...plan,
    constants: [...plan.constants, ...words.values()],
    kernels: plan.kernels.map(rewritten),
  };
}
