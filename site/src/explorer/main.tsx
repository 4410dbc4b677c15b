/** The tape explorer: a function, its tape, what transforms and backends make of it. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { announce } from '../shell/announce.js';
import { mount } from '../shell/shell.js';
import type { TransformName } from './analyse.js';
import { createAsker, type Problem } from './client.js';
import type { Language } from './code.js';
import { Editor } from './Editor.js';
import './explorer.css';
import { EXAMPLES } from './examples.js';
import { Plan } from './Plan.js';
import type { Question, Reply } from './protocol.js';
import { Ran } from './Ran.js';
import { Tabs } from './Tabs.js';
import { Tapes } from './Tapes.js';

const TRANSFORMS: readonly { readonly name: TransformName; readonly title: string }[] = [
  { name: 'grad', title: 'grad: the gradient' },
  { name: 'vjp', title: 'vjp: reverse mode' },
  { name: 'jvp', title: 'jvp: forward mode' },
  { name: 'vmap', title: 'vmap: a batch of 3' },
  { name: 'flat', title: 'flat: the gradient under the noise of Eq. 7' },
];
const LANGUAGES: readonly { readonly name: Language; readonly title: string }[] = [
  { name: 'wgsl', title: 'WGSL (WebGPU)' },
  { name: 'gpujs', title: 'gpu.js' },
  { name: 'wasm', title: 'WebAssembly' },
];
const BACKENDS = ['auto', 'wasm', 'webgpu', 'gpujs-webgl2', 'gpujs-webasm', 'gpujs-cpu'];
const TABS = [
  { id: 'tapes', title: 'Tapes' },
  { id: 'plan', title: 'Plan' },
  { id: 'code', title: 'Code' },
  { id: 'run', title: 'Run' },
] as const;
type TabId = (typeof TABS)[number]['id'];

/** Milliseconds without a key before the function is looked at again. */
const PAUSE = 400;

/** Text in an address: the hash holds it in UTF-8 and base64 as URLs want it. */
const toHash = (text: string): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');

function fromHash(hash: string): string | undefined {
  try {
    const bytes = atob(hash.replaceAll('-', '+').replaceAll('_', '/'));
    return new TextDecoder('utf-8', { fatal: true }).decode(
      Uint8Array.from(bytes, (c) => c.charCodeAt(0)),
    );
  } catch {
    return undefined;
  }
}

const codeOfHash = (): { readonly code: string; readonly problem: string | undefined } => {
  const given = new URLSearchParams(location.hash.slice(1)).get('code');
  const first = EXAMPLES[0]?.code as string;
  if (given === null) return { code: first, problem: undefined };
  const code = fromHash(given);
  return code === undefined
    ? { code: first, problem: 'The address holds no function that can be read.' }
    : { code, problem: undefined };
};

function Explorer() {
  const asker = useMemo(createAsker, []);
  const started = useMemo(codeOfHash, []);
  const [code, setCode] = useState(started.code);
  const [tab, setTab] = useState<TabId>('tapes');
  const [transform, setTransform] = useState<TransformName>('grad');
  const [isSimple, setSimple] = useState(true);
  const [of, setOf] = useState<'function' | 'transform'>('transform');
  const [language, setLanguage] = useState<Language>('wgsl');
  const [backend, setBackend] = useState('auto');
  const [seed, setSeed] = useState(1);
  const [reply, setReply] = useState<Reply | undefined>(undefined);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const [isBusy, setBusy] = useState(false);

  const questions: Readonly<Record<TabId, Question>> = {
    tapes: { kind: 'tapes', transform, simplify: isSimple },
    plan: { kind: 'plan', of, transform },
    code: { kind: 'code', of, transform, language },
    run: { kind: 'run', seed, backend },
  };
  const question = questions[tab];
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      setBusy(true);
      asker.ask(code, question).then(
        (made) => {
          if (gone) return;
          setReply(made);
          setProblem(undefined);
          setBusy(false);
        },
        (thrown: Problem) => {
          if (gone) return;
          setProblem(thrown);
          setBusy(false);
          announce(thrown.message);
        },
      );
    }, PAUSE);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [code, JSON.stringify(question)]);

  const share = () => {
    history.replaceState(undefined, '', `#code=${toHash(code)}`);
    navigator.clipboard?.writeText(location.href).then(
      () => announce('The address with this function is copied.'),
      () => announce('The address in the bar holds this function.'),
    );
  };
  const shown = reply?.kind === tab ? reply : undefined;
  return (
    <>
      <h1>Tape explorer</h1>
      <p class="lead">
        A function is traced to a tape; transforms make tapes of tapes; a plan cuts a tape into
        kernels; each backend writes its code. Type a function and watch. All names of the engine,
        of the models and of Flat-LoRA are there; inputs are arrays of floats with the shapes in{' '}
        <code>inputs</code>.
      </p>
      <div class="columns">
        <section aria-label="The function">
          <div class="row">
            <label>
              Example{' '}
              <select
                name="example"
                onChange={(event) => {
                  const found = EXAMPLES[Number(event.currentTarget.value)];
                  if (found !== undefined) setCode(found.code);
                }}
              >
                {EXAMPLES.map(({ name }, i) => (
                  <option key={name} value={i}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
            <button type="button" onClick={share}>
              Copy link
            </button>
          </div>
          <Editor code={code} onCode={setCode} />
          {started.problem !== undefined && code === started.code && (
            <p class="error">{started.problem}</p>
          )}
          {problem !== undefined && (
            <p class="error" role="alert" data-testid="problem">
              {problem.line === undefined ? '' : `Line ${problem.line}: `}
              {problem.message}
            </p>
          )}
        </section>
        <section aria-label="What becomes of it" aria-busy={isBusy}>
          <Tabs
            tabs={TABS}
            chosen={tab}
            onChoose={(id) => setTab(id as TabId)}
            label="What becomes of it"
          >
            <div class="row">
              {tab !== 'run' && (
                <label>
                  Transform{' '}
                  <select
                    name="transform"
                    value={transform}
                    onChange={(event) => setTransform(event.currentTarget.value as TransformName)}
                  >
                    {TRANSFORMS.map(({ name, title }) => (
                      <option key={name} value={name}>
                        {title}
                      </option>
                    ))}
                  </select>
                </label>
              )}
              {tab === 'tapes' && (
                <label>
                  <input
                    type="checkbox"
                    name="simplify"
                    checked={isSimple}
                    onChange={(event) => setSimple(event.currentTarget.checked)}
                  />{' '}
                  simplified
                </label>
              )}
              {(tab === 'plan' || tab === 'code') && (
                <label>
                  Of{' '}
                  <select
                    name="of"
                    value={of}
                    onChange={(event) =>
                      setOf(event.currentTarget.value as 'function' | 'transform')
                    }
                  >
                    <option value="transform">the transform</option>
                    <option value="function">the function</option>
                  </select>
                </label>
              )}
              {tab === 'code' && (
                <label>
                  Language{' '}
                  <select
                    name="language"
                    value={language}
                    onChange={(event) => setLanguage(event.currentTarget.value as Language)}
                  >
                    {LANGUAGES.map(({ name, title }) => (
                      <option key={name} value={name}>
                        {title}
                      </option>
                    ))}
                  </select>
                </label>
              )}
              {tab === 'run' && (
                <>
                  <label>
                    Backend{' '}
                    <select
                      name="backend"
                      value={backend}
                      onChange={(event) => setBackend(event.currentTarget.value)}
                    >
                      {BACKENDS.map((name) => (
                        <option key={name} value={name}>
                          {name === 'auto' ? 'the fastest that works here' : name}
                        </option>
                      ))}
                    </select>
                  </label>
                  <label>
                    Seed of the inputs{' '}
                    <input
                      name="seed"
                      type="number"
                      min={0}
                      max={9999}
                      value={seed}
                      onChange={(event) => setSeed(Number(event.currentTarget.value) || 0)}
                    />
                  </label>
                </>
              )}
            </div>
            {shown === undefined && problem === undefined && <p>One moment …</p>}
            {shown?.kind === 'tapes' && (
              <Tapes
                own={shown.own}
                made={shown.made}
                title={TRANSFORMS.find(({ name }) => name === transform)?.title ?? transform}
              />
            )}
            {shown?.kind === 'plan' && <Plan plan={shown.plan} />}
            {shown?.kind === 'code' && (
              <>
                <button
                  type="button"
                  onClick={() =>
                    navigator.clipboard
                      ?.writeText(shown.text)
                      .then(() => announce('The code is copied.'))
                  }
                >
                  Copy the code
                </button>
                {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long code is scrolled with the keys. */}
                <pre class="code" tabIndex={0} data-testid="code">
                  {shown.text}
                </pre>
              </>
            )}
            {shown?.kind === 'run' && <Ran ran={shown.ran} />}
          </Tabs>
        </section>
      </div>
    </>
  );
}

mount('explorer', Explorer);
