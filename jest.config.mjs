/** Jest 30 with swc and real ES modules; run it through `npm test` or `npm run jest -- PATH`. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  resolver: '<rootDir>/scripts/jestResolver.cjs',
  transform: {
    '^.+\\.ts$': [
      '<rootDir>/scripts/jestTransform.mjs',
      {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  setupFiles: ['<rootDir>/test/tooling/setup.ts'],
  reporters: ['default', '<rootDir>/scripts/countReporter.mjs'],
  maxWorkers: 2,
  testTimeout: 60_000,
  collectCoverageFrom: ['src/**/*.ts', '!src/main/**'],
};
