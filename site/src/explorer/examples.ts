/** Functions to begin with. */
export interface Example {
  readonly name: string;
  readonly code: string;
}

export const EXAMPLES: readonly Example[] = [
  {
    name: 'x · sin x',
    code: `const inputs = { x: [5] };

function f(x: Value) {
  return reduceSum(mul(x, sin(x)));
}
`,
  },
  {
    name: 'Softmax cross-entropy',
    code: `const inputs = { logits: [4, 3] };

function f(logits: Value) {
  const labels = lift(ints([0, 2, 1, 2], [4]));
  return softmaxCrossEntropy(logits, labels);
}
`,
  },
  {
    name: 'A layer of an MLP',
    code: `const inputs = { W: [6, 4], b: [6], x: [3, 4] };

function f(W: Value, b: Value, x: Value) {
  const y = gelu(add(matmulTransposed(x, W), b));
  return mean(square(y));
}
`,
  },
  {
    name: 'An attention head',
    code: `const inputs = { Q: [5, 4], K: [5, 4], V: [5, 4] };

function f(Q: Value, K: Value, V: Value) {
  const scores = mul(0.5, matmulTransposed(Q, K));
  return reduceSum(matmul(softmax(scores), V));
}
`,
  },
  {
    name: 'A LoRA layer (Eq. 1)',
    code: `// The frozen W and the factors: the gradient never forms B·A.
const inputs = { A: [2, 6], B: [4, 2], W: [4, 6], x: [3, 6] };

function f(A: Value, B: Value, W: Value, x: Value) {
  const layer = lowRankSum(denseOperator(W), { a: A, b: B, scale: 2 });
  return mean(square(layer.apply(x)));
}
`,
  },
  {
    name: 'A loop of JavaScript',
    code: `// Control flow is JavaScript's: the tape has what it did.
const inputs = { x: [4] };

function f(x: Value) {
  let y = x;
  for (let i = 0; i < 3; i++) {
    y = i % 2 === 0 ? tanh(add(y, x)) : mul(y, y);
  }
  return reduceSum(y);
}
`,
  },
  {
    name: 'One that does not fit',
    code: `const inputs = { a: [2, 3], b: [4, 5] };

function f(a: Value, b: Value) {
  return reduceSum(matmul(a, b));
}
`,
  },
];
