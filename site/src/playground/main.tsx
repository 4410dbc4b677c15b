/** The playground: a method and its flat version, trained side by side. */
import { type Signal, signal } from '@preact/signals';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { announce } from '../shell/announce.js';
import { mount } from '../shell/shell.js';
import { Charts } from './Charts.js';
import { RunButtons, SettingsForm } from './Controls.js';
import { type Client, createClient } from './client.js';
import { Files } from './Files.js';
import { labelOf, methodLabel } from './names.js';
import './playground.css';
import type { OwnFiles } from './protocol.js';
import { hashOfSettings, type Settings, settingsFromHash } from './settings.js';
import { type Grid, Surface } from './surface/Surface.js';
import { Try } from './Try.js';

function Status({ client }: { readonly client: Client }) {
  const { value: phase } = client.phase;
  const { value: opened } = client.opened;
  const { value: speed } = client.perSecond;
  const done = client.steps.value.at(-1)?.step ?? 0;
  if (phase === 'empty') return <p>Nothing is loaded yet. Press Train.</p>;
  if (phase === 'opening') return <p>Loading the model and the kernels …</p>;
  return (
    <p data-testid="status" data-phase={phase} data-backend={opened?.backend}>
      {opened && (
        <>
          Runs on <strong>{opened.backend}</strong>
          {speed !== undefined && `, ${speed.toPrecision(3)} steps a second`}; step {done};{' '}
          {opened.trained.toLocaleString('en')} numbers are trained in each run.{' '}
          <span class="quiet">({opened.reason})</span>
        </>
      )}
    </p>
  );
}

function Playground() {
  const client = useMemo(createClient, []);
  const started = useMemo(() => settingsFromHash(location.hash), []);
  const [settings, setSettings] = useState<Settings>(started.settings);
  const [own, setOwn] = useState<OwnFiles>({});
  const problems: Signal<readonly string[]> = useMemo(() => signal(started.problems), []);
  useEffect(() => {
    const onHash = () => {
      const read = settingsFromHash(location.hash);
      problems.value = read.problems;
      setSettings(read.settings);
    };
    addEventListener('hashchange', onHash);
    return () => removeEventListener('hashchange', onHash);
  }, []);
  const change = (next: Settings) => {
    setSettings(next);
    history.replaceState(undefined, '', hashOfSettings(next));
    if (next.model !== settings.model) setOwn({});
    // What is running was made with other settings.
    if (client.phase.value !== 'empty') announce('The new setting holds from the next reset on.');
  };
  const share = () => {
    const address = location.href;
    navigator.clipboard?.writeText(address).then(
      () => announce('The address with this setting is copied.'),
      () => announce('The address in the bar holds this setting.'),
    );
  };
  // What runs was made with its own settings; the form may be ahead of it.
  const [plain, flat] = client.opened.value?.labels ?? [];
  const labels = [
    plain === undefined ? labelOf(settings, 'plain') : methodLabel(plain),
    flat === undefined ? labelOf(settings, 'flat') : methodLabel(flat),
  ] as const;
  const surfaces = client.surfaces.value;
  const grids = useMemo(
    () =>
      (['plain', 'flat'] as const).flatMap((run, k): Grid[] => {
        const found = surfaces[run];
        const colour = run === 'flat' ? 'flat' : 'lora';
        return found === undefined ? [] : [{ name: labels[k] as string, colour, ...found }];
      }),
    [surfaces, ...labels],
  );
  const problem = client.problem.value;
  return (
    <>
      <h1>See a minimum flatten</h1>
      <p class="lead">
        A small pre-trained model learns something new from a few examples, twice from one seed:
        with {labels[0]}, and with {labels[1]}, whose loss is averaged over noise in the merged
        weights (Eq. 7 of the <a href="book.html">book</a>).
      </p>
      <div class="top panel">
        <SettingsForm
          settings={settings}
          onChange={change}
          onProblems={(found) => {
            problems.value = found;
          }}
        />
        <RunButtons client={client} onOpen={() => client.open(settings, own)} onShare={share} />
        <Status client={client} />
        {[...problems.value, ...(problem === undefined ? [] : [problem])].map((sentence) => (
          <p key={sentence} class="error" role="alert">
            {sentence}
          </p>
        ))}
      </div>
      <Charts client={client} labels={labels} />
      {grids.length > 0 ? (
        <Surface grids={grids} />
      ) : (
        settings.watch === 'surface' && (
          <p class="quiet">The loss surface appears after a quarter of the steps.</p>
        )
      )}
      <Try client={client} model={settings.model} labels={labels} />
      <Files
        client={client}
        model={settings.model}
        labels={labels}
        own={own}
        onOwn={(files) => {
          setOwn(files);
          announce('The file is used from the next reset on.');
        }}
        onProblem={(sentence) => {
          problems.value = [sentence];
        }}
      />
    </>
  );
}

mount('playground', Playground);
