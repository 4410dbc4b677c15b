/**
 * Ends a test run with one plain line, `N passed, N failed, N skipped`, for machines to read.
 * A test file that could not run at all counts as one failure.
 */
export default class CountReporter {
  onRunComplete(_contexts, results) {
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    const line = `${results.numPassedTests} passed, ${failed} failed, ${skipped} skipped`;
    // Jest's own summary is written after every other reporter; this line comes after that.
    process.once('exit', () => process.stdout.write(`\n${line}\n`));
  }
}
