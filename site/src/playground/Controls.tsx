/** What can be chosen, and the buttons of a run. */
import type { Client } from './client.js';
import { labelOf } from './names.js';
import {
  BACKEND_CHOICES,
  METHOD_CHOICES,
  NUMBER_FIELDS,
  readSettings,
  type Settings,
  WATCH_CHOICES,
  type Watch,
} from './settings.js';

const BACKENDS: Readonly<Record<(typeof BACKEND_CHOICES)[number], string>> = {
  auto: 'The fastest that works here',
  webgpu: 'WebGPU',
  wasm: 'WebAssembly',
  'gpujs-webgl2': 'gpu.js on WebGL2',
  'gpujs-webasm': 'gpu.js on WebAssembly',
};

const WATCHES: Readonly<Record<Watch, string>> = {
  surface: 'Losses, sharpness, the surface',
  sharpness: 'Losses and sharpness',
  losses: 'Losses alone: the fastest',
};

interface ControlsProps {
  readonly settings: Settings;
  readonly onChange: (settings: Settings) => void;
  readonly onProblems: (problems: readonly string[]) => void;
}

export function SettingsForm({ settings, onChange, onProblems }: ControlsProps) {
  const change = (field: keyof Settings, text: string) => {
    // Another model brings its own defaults along; everything else stays.
    const { method, rank, seed, backend, watch } = settings;
    const given = field === 'model' ? { method, rank, seed, backend, watch } : settings;
    const texts = Object.fromEntries(Object.entries(given).map(([k, v]) => [k, String(v)]));
    const read = readSettings({ ...texts, [field]: text });
    onProblems(read.problems);
    onChange(read.settings);
  };
  const onInput = (field: keyof Settings) => (event: Event) =>
    change(field, (event.currentTarget as HTMLInputElement | HTMLSelectElement).value);
  return (
    <form class="settings" onSubmit={(event) => event.preventDefault()}>
      <label>
        Model
        <select name="model" value={settings.model} onChange={onInput('model')}>
          <option value="vit">Vision transformer on digits</option>
          <option value="decoder">Small decoder on a text</option>
        </select>
      </label>
      <label>
        Method, run beside its flat version
        <select name="method" value={settings.method} onChange={onInput('method')}>
          {METHOD_CHOICES.map((method) => (
            <option key={method} value={method}>
              {labelOf({ method }, 'plain')}
            </option>
          ))}
        </select>
      </label>
      {NUMBER_FIELDS.map(({ field, label, least, most, step }) => (
        <label key={field}>
          {field === 'examples' && settings.model === 'decoder' ? 'Texts of 48 tokens' : label}
          <input
            name={field}
            type="number"
            min={least}
            max={most}
            step={step}
            value={settings[field]}
            onChange={onInput(field)}
          />
        </label>
      ))}
      <label>
        Runs on
        <select name="backend" value={settings.backend} onChange={onInput('backend')}>
          {BACKEND_CHOICES.map((name) => (
            <option key={name} value={name}>
              {BACKENDS[name]}
            </option>
          ))}
        </select>
      </label>
      <label>
        Watched while it trains
        <select name="watch" value={settings.watch} onChange={onInput('watch')}>
          {WATCH_CHOICES.map((watch) => (
            <option key={watch} value={watch}>
              {WATCHES[watch]}
            </option>
          ))}
        </select>
      </label>
    </form>
  );
}

interface ButtonsProps {
  readonly client: Client;
  readonly onOpen: () => void;
  readonly onShare: () => void;
}

export function RunButtons({ client, onOpen, onShare }: ButtonsProps) {
  const phase = client.phase.value;
  const isOpen = phase === 'paused' || phase === 'running' || phase === 'finished';
  return (
    <fieldset class="buttons">
      <legend class="visually-hidden">The run</legend>
      {phase === 'running' ? (
        <button type="button" class="primary" onClick={() => client.send({ kind: 'pause' })}>
          Pause
        </button>
      ) : (
        <button
          type="button"
          class="primary"
          disabled={phase === 'opening' || phase === 'finished'}
          onClick={() => {
            if (!isOpen) onOpen();
            client.send({ kind: 'run' });
          }}
        >
          {phase === 'opening' ? 'Loading …' : 'Train'}
        </button>
      )}
      <button
        type="button"
        disabled={phase === 'opening' || phase === 'running' || phase === 'finished'}
        onClick={() => {
          if (!isOpen) onOpen();
          client.send({ kind: 'step' });
        }}
      >
        One step
      </button>
      <button type="button" disabled={phase === 'empty' || phase === 'opening'} onClick={onOpen}>
        Reset
      </button>
      <button type="button" onClick={onShare}>
        Copy link
      </button>
    </fieldset>
  );
}
