/**
 * Who may import whom, inside src/. `rooms` are the other rooms that a room may import; `packages`
 * the packages; `node` tells whether Node's built-in modules are allowed (everywhere, nowhere, or
 * only in files named node*.ts). Files directly in src/ are the package's front door.
 */
const PURE = ['fp-ts', 'ndarray'];
const GPU = ['gpu.js', 'webgpu'];
const LIBRARY = [
  'autodiff',
  'kernels',
  'models',
  'optimisers',
  'flatlora',
  'training',
  'data',
  'checkpoints',
  'tokenizers',
  'generation',
  'huggingface',
  'finetune',
];

export const RULES = {
  autodiff: { rooms: [], packages: PURE, node: 'never' },
  kernels: { rooms: ['autodiff'], packages: [...PURE, ...GPU], node: 'node*.ts' },
  models: { rooms: ['autodiff'], packages: PURE, node: 'never' },
  optimisers: { rooms: ['autodiff'], packages: PURE, node: 'never' },
  flatlora: {
    rooms: ['autodiff', 'optimisers'],
    packages: [...PURE, 'ml-matrix'],
    node: 'never',
  },
  training: {
    rooms: ['autodiff', 'kernels', 'models', 'optimisers', 'flatlora', 'checkpoints'],
    packages: [...PURE, 'cli-progress'],
    node: 'always',
  },
  data: { rooms: ['autodiff'], packages: [...PURE, 'papaparse', 'sharp'], node: 'always' },
  checkpoints: { rooms: ['autodiff', 'models'], packages: PURE, node: 'always' },
  generation: {
    rooms: ['autodiff', 'kernels', 'models', 'tokenizers'],
    packages: PURE,
    node: 'never',
  },
  tokenizers: {
    rooms: ['autodiff'],
    packages: [...PURE, '@huggingface/tokenizers'],
    node: 'never',
  },
  huggingface: {
    rooms: ['autodiff', 'kernels', 'models', 'checkpoints', 'tokenizers', 'flatlora'],
    packages: [...PURE, 'valibot'],
    node: 'always',
  },
  finetune: {
    rooms: [...LIBRARY.filter((room) => room !== 'finetune'), 'report'],
    packages: [...PURE, 'valibot'],
    node: 'always',
  },
  cli: {
    rooms: [...LIBRARY, 'report'],
    packages: [...PURE, 'valibot', 'commander'],
    node: 'always',
  },
  report: { rooms: LIBRARY, packages: [...PURE, 'd3-scale', 'd3-contour'], node: 'never' },
  main: {
    rooms: [...LIBRARY, 'report'],
    packages: [...PURE, 'cli-progress', 'tinypool'],
    node: 'always',
  },
  paper: {
    rooms: [...LIBRARY, 'report', 'main'],
    packages: [...PURE, 'cli-progress', 'tinypool', 'd3-scale'],
    node: 'always',
  },
  '.': { rooms: LIBRARY, packages: [], node: 'never' },
};
