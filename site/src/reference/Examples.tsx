/** The examples, to be read, changed and run in the page. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { announce } from '../shell/announce.js';
import { EXAMPLES, needsNode } from './examples.js';
import type { FromRunner } from './runner.js';

/** Milliseconds after which a program is stopped. */
const PATIENCE = 120_000;

export function Examples() {
  const [at, setAt] = useState(0);
  const [code, setCode] = useState('');
  const [lines, setLines] = useState<readonly string[]>([]);
  const [state, setState] = useState<'idle' | 'running' | 'done' | 'failed'>('idle');
  const stopRun = useRef<() => void>(() => undefined);
  const stop = () => {
    stopRun.current();
    stopRun.current = () => undefined;
  };
  useEffect(() => {
    let gone = false;
    stop();
    setState('idle');
    setLines([]);
    EXAMPLES[at]?.load().then((text) => {
      if (!gone) setCode(text);
    });
    return () => {
      gone = true;
    };
  }, [at]);
  const finish = (next: 'done' | 'failed', sentence: string) => {
    stop();
    setState(next);
    announce(sentence);
    if (next === 'failed') setLines((before) => [...before, sentence]);
  };
  const run = () => {
    stop();
    setLines([]);
    setState('running');
    const made = new Worker(new URL('./runner.ts', import.meta.url), { type: 'module' });
    const timer = setTimeout(() => finish('failed', 'Stopped after two minutes.'), PATIENCE);
    stopRun.current = () => {
      clearTimeout(timer);
      made.terminate();
    };
    made.onmessage = ({ data }: MessageEvent<FromRunner>) => {
      if (data.kind === 'line') {
        setLines((before) => [...before, data.text]);
        return;
      }
      if (data.kind === 'done') finish('done', 'The example has run.');
      else finish('failed', data.sentence);
    };
    made.onerror = (event) => {
      event.preventDefault();
      finish('failed', event.message || 'The program could not be loaded.');
    };
    made.postMessage(code);
  };
  const missing = needsNode(code);
  return (
    <section aria-label="Examples">
      <h2>Examples</h2>
      <div class="row">
        <label>
          Example{' '}
          <select
            name="example"
            value={at}
            onChange={(event) => setAt(Number(event.currentTarget.value))}
          >
            {EXAMPLES.map(({ name }, i) => (
              <option key={name} value={i}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <button
          type="button"
          class="primary"
          disabled={missing !== undefined || state === 'running'}
          onClick={run}
        >
          Run
        </button>
        {state === 'running' && (
          <button type="button" onClick={() => finish('failed', 'Stopped.')}>
            Stop
          </button>
        )}
      </div>
      {missing !== undefined && (
        <p>
          This one needs Node (it imports <code>{missing}</code>): run it with{' '}
          <code>node examples/{EXAMPLES[at]?.name}.mjs</code>.
        </p>
      )}
      <textarea
        aria-label="The program"
        class="program"
        rows={18}
        spellcheck={false}
        value={code}
        onInput={(event) => setCode(event.currentTarget.value)}
      />
      <h3>What it prints</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long output is scrolled with the keys. */}
      <pre class="printed" tabIndex={0} data-testid="printed" data-state={state}>
        {lines.length === 0 ? 'Nothing yet.' : lines.join('\n')}
      </pre>
    </section>
  );
}
