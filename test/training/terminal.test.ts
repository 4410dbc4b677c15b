import { EventEmitter } from 'node:events';
import { WriteStream } from 'node:tty';
import type { TrainingObserver } from '../../src/training/index.js';
import { abortOnInterrupt, showDuration, terminalProgress } from '../../src/training/node/index.js';

/** A stream that keeps what is written, and a clock that the test moves. */
function scene(isTTY: boolean) {
  const state = { text: '', clock: 0 };
  const stream = Object.assign(Object.create(WriteStream.prototype), {
    isTTY,
    write: (text: string) => {
      state.text += text;
      return true;
    },
  });
  const observe = terminalProgress({ stream, label: 'toy', now: () => state.clock });
  return { state, observe };
}

/** A hundred steps of 0.6 s, with an evaluation after 50. */
function run(observe: TrainingObserver, state: { clock: number }, end: 'finished' | 'failed') {
  observe({ kind: 'started', step: 0, totalSteps: 100, passedOver: [] });
  for (let step = 0; step < 100; step++) {
    state.clock += 600;
    observe({ kind: 'step', step, totalSteps: 100, loss: 1 / (step + 1), gradientNorm: 1 });
    if (step === 49) observe({ kind: 'evaluated', step: 50, metrics: { accuracy: 0.75 } });
    if (step === 59 && end === 'failed') {
      observe({ kind: 'failed' });
      return;
    }
  }
  observe({ kind: 'finished', reason: 'completed', step: 100, totalSteps: 100 });
}

describe('elsewhere than on a terminal', () => {
  test('plain lines: the first step, one every ten seconds, the last step', () => {
    const { state, observe } = scene(false);
    run(observe, state, 'finished');
    expect(state.text.split('\n')).toEqual([
      'toy: step 1/100, loss 1.000, ETA 1m00s',
      'toy: step 18/100, loss 0.05556, ETA 50s',
      'toy: step 35/100, loss 0.02857, ETA 39s',
      'toy: after step 50: accuracy 0.7500',
      'toy: step 52/100, loss 0.01923, ETA 29s',
      'toy: step 69/100, loss 0.01449, ETA 19s',
      'toy: step 86/100, loss 0.01163, ETA 9s',
      'toy: step 100/100, loss 0.01000',
      '',
    ]);
    expect(state.text).not.toContain('\x1b');
  });

  test('tells where it goes on, what was passed over, and where it stopped', () => {
    const { state, observe } = scene(false);
    observe({ kind: 'started', step: 40, totalSteps: 100, passedOver: ['x is damaged'] });
    observe({ kind: 'saved', step: 41 });
    observe({ kind: 'finished', reason: 'interrupted', step: 41, totalSteps: 100 });
    expect(state.text).toBe(
      'toy: warning: x is damaged\ntoy: going on from step 40 of 100\ntoy: stopped after step 41 of 100\n',
    );
  });
});

describe('on a terminal', () => {
  test.each(['finished', 'failed'] as const)(
    'a bar with the time left, gone quiet when %s',
    (end) => {
      const { state, observe } = scene(true);
      run(observe, state, end);
      const shown = state.text;
      expect(shown).toContain('toy [');
      expect(shown).toMatch(
        end === 'finished' ? /100\/100, loss 0\.01000, ETA 0s/ : /60\/100, loss 0\.01667, ETA 24s/,
      );
      expect(shown).toContain('toy: after step 50: accuracy 0.7500\n');
      // The cursor is shown again, and no timer draws on.
      expect(shown.lastIndexOf('\x1b[?25h')).toBeGreaterThan(shown.lastIndexOf('\x1b[?25l'));
      expect(shown.endsWith('\n')).toBe(true);
    },
  );
});

test.each([
  [0, '0s'],
  [-3, '0s'],
  [0.2, '1s'],
  [59, '59s'],
  [60, '1m00s'],
  [185, '3m05s'],
  [3600, '1h00m'],
  [7625, '2h07m'],
])('%d seconds are %s', (seconds, text) => {
  expect(showDuration(seconds)).toBe(text);
});

describe('abortOnInterrupt', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('the first %s aborts, then nobody listens', (name) => {
    const source = new EventEmitter();
    const { signal } = abortOnInterrupt(source);
    expect(signal.aborted).toBe(false);
    source.emit(name);
    expect(signal.aborted).toBe(true);
    expect(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM')).toBe(0);
  });

  test('dispose stops listening', () => {
    const source = new EventEmitter();
    const { signal, dispose } = abortOnInterrupt(source);
    dispose();
    source.emit('SIGINT');
    expect(signal.aborted).toBe(false);
    expect(source.eventNames()).toEqual([]);
  });
});
