/** Runs before every test file: every property test draws from one fixed seed. */
import fc from 'fast-check';
import { DEFAULT_RUNS, runs, testSeed } from './property.js';

// On a failure fast-check prints this seed with the path to the smallest counterexample.
fc.configureGlobal({ seed: testSeed(), numRuns: runs(DEFAULT_RUNS) });
