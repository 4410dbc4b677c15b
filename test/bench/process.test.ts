/** Engines in processes of their own: replies, failures, ends and silence. */
import {
  type EngineProcess,
  type Launch,
  lastingEngine,
  startEngine,
} from '../../bench/src/harness/process.js';

/** A process that answers every line with what `body` returns for the request `r`. */
const script = (body: string, timeoutMs = 10_000): Launch => ({
  command: process.execPath,
  args: [
    '-e',
    `require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
       const r = JSON.parse(line);
       const say = (reply) => console.log('@reply ' + JSON.stringify({ id: r.id, ...reply }));
       ${body}
     });`,
  ],
  timeoutMs,
});

const running: EngineProcess[] = [];
const start = (launch: Launch, make = startEngine) => {
  const engine = make(launch);
  running.push(engine);
  return engine;
};
afterEach(() => {
  for (const engine of running.splice(0)) engine.end();
});

test('replies find their requests, whatever else is printed', async () => {
  const engine = start(
    script(`console.log('hello from a library'); console.error('a warning');
      setTimeout(() => say({ value: r.repeats }), r.repeats);`),
  );
  expect(await Promise.all([engine.run('x', 30), engine.run('x', 1)])).toEqual([30, 1]);
});

test('an error of the engine rejects its request, and the engine goes on', async () => {
  const engine = start(script(`say(r.repeats > 1 ? { error: 'too often' } : { value: 5 });`));
  await expect(engine.run('x', 2)).rejects.toThrow('too often');
  expect(await engine.run('x', 1)).toBe(5);
});

test('when the process dies, its last words are told, then and later', async () => {
  const engine = start(script(`console.error('something\\nout of memory'); process.exit(3);`));
  await expect(engine.run('x', 1)).rejects.toThrow('the process ended (3): out of memory');
  await expect(engine.run('x', 1)).rejects.toThrow('the process ended');
  expect(engine.hasEnded()).toBe(true);
});

test('silence is given up', async () => {
  const engine = start(script('', 300));
  await expect(engine.run('x', 1)).rejects.toThrow('no answer to "run" within 0.3 s');
});

test('a command that does not exist is an error, not a crash', async () => {
  const engine = start({ command: 'no-such-command-here', args: [], timeoutMs: 5000 });
  await expect(engine.hello()).rejects.toThrow('no-such-command-here');
});

test('a lasting engine starts anew for its next job', async () => {
  const engine = start(
    script(`if (r.command === 'run') process.exit(1); say({ value: {} });`),
    lastingEngine,
  );
  await expect(engine.run('x', 1)).rejects.toThrow('the process ended');
  expect(await engine.prepare('y', { spec: {} as never, tensors: {} })).toEqual({});
  expect(engine.hasEnded()).toBe(false);
});
