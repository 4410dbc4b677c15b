/** The import-direction rule really fires: violations are planted in a throw-away source folder. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../scripts/checkImports.mjs', import.meta.url));

/** Runs the rule on a source folder of these files. */
function check(files: Readonly<Record<string, string>>): { code: number | null; said: string } {
  const src = mkdtempSync(path.join(tmpdir(), 'rooms-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(src, name)), { recursive: true });
      writeFileSync(path.join(src, name), text);
    }
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, src], {
      encoding: 'utf8',
    });
    return { code: status, said: stdout + stderr };
  } finally {
    rmSync(src, { recursive: true, force: true });
  }
}

describe('allowed imports', () => {
  test.each([
    ['kernels/a.ts', `import { x } from '../autodiff/index.js';`],
    ['kernels/wasm/nodeThreads.ts', `import { Worker } from 'node:worker_threads';`],
    ['models/t5/a.ts', `import '../data/x.js'; import { pipe } from 'fp-ts/function';`],
    ['training/a.ts', `export * from '../flatlora/index.js';`],
    [
      'report/a.ts',
      `import { y } from '../data/index.js'; import { scaleLinear } from 'd3-scale';`,
    ],
    ['main/index.ts', `import { y } from '../report/index.js';`],
    [
      'autodiff/a.ts',
      `// import { y } from '../models/index.js';\nexport const s = "from '../models'";`,
    ],
  ])('%s: %s', (file, text) => {
    expect(check({ [file]: text })).toMatchObject({ code: 0 });
  });
});

describe('forbidden imports', () => {
  test.each([
    ['autodiff/a.ts', `import { x } from '../models/x.js';`],
    ['autodiff/ops/a.ts', `import type { x } from '../../kernels/x.js';`],
    ['autodiff/a.ts', `export { x } from '../index.js';`],
    ['autodiff/a.ts', `import { GPU } from 'gpu.js';`],
    ['autodiff/a.ts', `import { readFile } from 'fs';`],
    ['kernels/a.ts', `const { Worker } = await import('node:worker_threads');`],
    ['kernels/a.ts', `import { x } from '../models/x.js';`],
    ['models/a.ts', `import { x } from '../flatlora/x.js';`],
    ['models/nodeThings.ts', `import { x } from 'node:path';`],
    ['flatlora/a.ts', `type X = import('../training/x.js').X;`],
    ['training/a.ts', `import { x } from '../data/x.js';`],
    ['data/a.ts', `import { x } from '../../src/models/x.js';`],
    ['checkpoints/a.ts', `import { x } from '../flatlora/x.js';`],
    ['report/a.ts', `import { x } from '../main/x.js';`],
    ['report/a.ts', `import { readFile } from 'node:fs/promises';`],
    ['data/a.ts', `import { x } from '../../scripts/x.js';`],
    ['attic/a.ts', `import { x } from '../autodiff/x.js';`],
  ])('%s: %s', (file, text) => {
    const { code, said } = check({ [file]: `// é: a line before\n${text}\n` });
    expect(code).toBe(1);
    expect(said).toContain(`src/${file}:2: `);
  });
});
