/**
 * Packs the library as npm would publish it, installs the tarball in an empty folder, and there
 * runs a small program, type-checks a small consumer against the shipped declarations, and fine-tunes a
 * tiny checkpoint from the command line.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The subpaths of the exports map whose source exists: each must load from the tarball. */
const { exports } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const entries = Object.keys(exports).filter((subpath) =>
  existsSync(path.join(root, 'src', subpath, 'index.ts')),
);

/** What the program must print, line by line. */
const EXPECTED = [
  `loaded ${entries.length} of ${entries.length}`,
  'key 0 7',
  'folded 2 words, same again',
  'same module true',
  'gpujs-webasm: gradient 2 4 6',
  'wasm: gradient 2 4 6',
  'adapters weight',
];

const COMMANDS = [
  'finetune',
  'evaluate',
  'generate',
  'merge',
  'inspect',
  'landscape',
  'sharpness',
  'doctor',
];

const PROGRAM = `
import * as flatlora from 'flatlora';
import { foldIn, key } from 'flatlora/autodiff';

const entries = ${JSON.stringify(entries.map((subpath) => path.posix.join('flatlora', subpath)))};
const loaded = await Promise.all(entries.map((entry) => import(entry)));
console.log('loaded', loaded.length, 'of', entries.length);

const words = (k) => [k.get(0), k.get(1)];
const folded = words(foldIn(key(7), 3));
const again = words(foldIn(key(7), 3));
console.log('key', ...words(key(7)));
console.log('folded', folded.length, 'words,', String(folded) === String(again) ? 'same again' : 'different');
console.log('same module', flatlora.key === key);
// d/dx of Σ x² through gpu.js and through WebAssembly on threads, and a LoRA step's shape.
const { floats, grad, lora, mul, orThrow, reduceSum } = flatlora;
const gradient = grad((x) => reduceSum(mul(x, x)));
for (const open of [() => flatlora.gpujsBackend('webasm'), () => flatlora.wasmBackend()]) {
  const backend = await open();
  const { data } = await flatlora.evaluate(gradient, backend, floats([1, 2, 3]));
  await backend.dispose();
  console.log(backend.name + ':', 'gradient', ...data);
}
const method = lora({ rank: 1, alpha: 1, targetModules: ['weight'] });
const { adapters } = orThrow(method.init({ weight: floats([1, 2, 3, 4], [2, 2]) }, key(1)));
console.log('adapters', Object.keys(adapters).join());
`;

const CONSUMER = `
import { foldIn, type Key, key } from 'flatlora/autodiff';
import { key as fromRoot } from 'flatlora';

export const folded: Key = foldIn(key(7), 3);
export const word: number = fromRoot(7).get(0);
// @ts-expect-error A seed is a number.
key('seven');
`;

const TSCONFIG = {
  compilerOptions: {
    target: 'ES2022',
    module: 'nodenext',
    lib: ['ES2023', 'DOM'],
    strict: true,
    noEmit: true,
    types: [],
  },
  files: ['consumer.ts'],
};

const folder = mkdtempSync(path.join(tmpdir(), 'flatlora-pack-'));
const consumer = path.join(folder, 'consumer');

/** Runs a command and gives what it printed; a failing command's own words come first. */
function run(cwd, command, ...args) {
  const { status, stdout, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit ${status}`}\n${stdout}`);
}

try {
  const packed = JSON.parse(
    run(root, 'npm', 'pack', '--silent', '--json', '--pack-destination', folder),
  );
  const [{ filename, size, entryCount, files }] = packed;
  console.log(`packed ${filename}: ${entryCount} files, ${(size / 1024).toFixed(1)} KiB`);
  const stray = files.filter(
    (file) => !/^(dist\/.*|README\.md|LICENSE|CHANGELOG\.md|package\.json)$/.test(file.path),
  );
  if (stray.length > 0) throw new Error(`stray files: ${stray.map((file) => file.path)}`);

  mkdirSync(consumer);
  // Without the optional packages: the library must load where the GPU binding is missing.
  writeFileSync(
    path.join(consumer, 'package.json'),
    JSON.stringify({ name: 'consumer', private: true, type: 'module' }),
  );
  run(
    consumer,
    'npm',
    'install',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    '--omit=optional',
    '--loglevel=error',
    path.join(folder, filename),
  );

  writeFileSync(path.join(consumer, 'program.js'), PROGRAM);
  const printed = run(consumer, process.execPath, 'program.js').trim().split('\n');
  console.log(printed.join('\n'));
  if (printed.join('\n') !== EXPECTED.join('\n')) {
    throw new Error(`the program should have printed:\n${EXPECTED.join('\n')}`);
  }

  writeFileSync(path.join(consumer, 'consumer.ts'), CONSUMER);
  writeFileSync(path.join(consumer, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  run(consumer, process.execPath, path.join(root, 'node_modules/typescript/bin/tsc'), '-p', '.');
  // The command line, as a new user meets it: every help, and a run on a tiny checkpoint.
  const flatlora = (...args) =>
    run(consumer, path.join(consumer, 'node_modules/.bin/flatlora'), ...args);
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  if (flatlora('--version').trim() !== version) throw new Error('flatlora --version');
  for (const command of COMMANDS) {
    if (!flatlora(command, '--help').includes('Examples:')) throw new Error(`${command} --help`);
  }
  const fixtures = path.join(root, 'test/fixtures');
  const model = path.join(consumer, 'llama');
  cpSync(path.join(fixtures, 'huggingface/llama'), model, { recursive: true });
  cpSync(path.join(fixtures, 'tokenizers/words.json'), path.join(model, 'tokenizer.json'));
  writeFileSync(path.join(consumer, 'data.csv'), `text\n${'red cat\nblue dog\n'.repeat(8)}`);
  const trained = JSON.parse(
    flatlora(
      'finetune',
      '--model',
      'llama',
      '--train',
      'data.csv',
      '--out',
      'run',
      '--steps',
      '3',
      '--batch-size',
      '4',
      '--threads',
      '1',
      '--json',
    ),
  );
  flatlora('merge', '--model', 'llama', '--adapter', trained.saved, '--out', 'merged');
  const before = JSON.parse(
    flatlora('evaluate', '--model', 'llama', '--data', 'data.csv', '--json'),
  );
  const after = JSON.parse(
    flatlora('evaluate', '--model', 'merged', '--data', 'data.csv', '--json'),
  );
  console.log(
    `flatlora finetune: loss ${before.metrics.loss.toFixed(3)} to ${after.metrics.loss.toFixed(3)}`,
  );
  if (!(after.metrics.loss < before.metrics.loss)) throw new Error('fine-tuning did not help');
  console.log('pack smoke: the tarball installs, runs and type-checks');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
