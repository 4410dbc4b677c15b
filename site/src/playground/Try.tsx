/** Asking both models: a drawn digit, or the beginning of a text. */
import { useState } from 'preact/hooks';
import type { Client } from './client.js';
import { Pad } from './pad/Pad.js';
import { RUN_NAMES } from './session.js';
import type { ModelName } from './settings.js';

interface TryProps {
  readonly client: Client;
  readonly model: ModelName;
  readonly labels: readonly [string, string];
}

const percent = (p: number) => `${(100 * p).toFixed(0)} %`;

function Probabilities({ probabilities }: { readonly probabilities: readonly number[] }) {
  const best = probabilities.indexOf(Math.max(...probabilities));
  return (
    <ol class="bars" start={0}>
      {probabilities.map((p, digit) => (
        <li key={digit} class={digit === best ? 'best' : undefined}>
          <span class="digit">{digit}</span>
          <span class="bar-track">
            <span class="bar-fill" style={{ width: `${100 * p}%` }} />
          </span>
          <span class="number">{percent(p)}</span>
        </li>
      ))}
    </ol>
  );
}

export function Try({ client, model, labels }: TryProps) {
  const [prompt, setPrompt] = useState('Rule 3 of the lighthouse');
  const phase = client.phase.value;
  const isOpen = phase === 'paused' || phase === 'running' || phase === 'finished';
  return (
    <section class="panel" aria-label="Ask both models">
      <h2>{model === 'vit' ? 'Draw a digit' : 'Begin a text'}</h2>
      {!isOpen && <p class="quiet">Press Train or One step first: the models are loaded then.</p>}
      {model === 'vit' ? (
        <Pad size={16} onDraw={(question) => isOpen && client.send({ kind: 'ask', question })} />
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (isOpen && prompt.trim() !== '') client.send({ kind: 'ask', question: prompt });
          }}
        >
          <label>
            The beginning
            <input
              name="prompt"
              value={prompt}
              maxLength={200}
              onInput={(event) => setPrompt(event.currentTarget.value)}
            />
          </label>
          <button type="submit" disabled={!isOpen}>
            Go on
          </button>
        </form>
      )}
      <div class="answers" data-testid="answers">
        {RUN_NAMES.map((run, k) => {
          const answer = client.answers.value[run];
          return (
            <div key={run} class={run === 'flat' ? 'flat' : 'lora'}>
              <h3>{labels[k]}</h3>
              {answer === undefined && <p class="quiet">No answer yet.</p>}
              {answer?.kind === 'image' && <Probabilities probabilities={answer.probabilities} />}
              {answer?.kind === 'text' && <p class="written">… {answer.text}</p>}
            </div>
          );
        })}
      </div>
    </section>
  );
}
