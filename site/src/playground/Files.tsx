/** Taking adapters along, bringing them back, and training on files of one's own. Nothing leaves the page. */
import type { Client } from './client.js';
import type { NamedFile, OwnFiles } from './protocol.js';
import { RUN_NAMES, type RunName } from './session.js';
import type { ModelName } from './settings.js';

/** Larger files are no small checkpoint. */
const MOST_BYTES = 2 ** 28;

interface FilesProps {
  readonly client: Client;
  readonly model: ModelName;
  readonly labels: readonly [string, string];
  readonly own: OwnFiles;
  readonly onOwn: (files: OwnFiles) => void;
  readonly onProblem: (sentence: string) => void;
}

/** @throws Error, in a sentence, for files that are too large. */
async function read(files: FileList | null): Promise<readonly NamedFile[]> {
  return Promise.all(
    Array.from(files ?? []).map(async (file) => {
      if (file.size > MOST_BYTES) throw new Error(`${file.name} has more than 256 MiB`);
      return { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
    }),
  );
}

export function Files({ client, model, labels, own, onOwn, onProblem }: FilesProps) {
  const phase = client.phase.value;
  const isOpen = phase === 'paused' || phase === 'running' || phase === 'finished';
  const chosen = (use: (files: readonly NamedFile[]) => void) => (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    read(input.files).then(use, (thrown: Error) => onProblem(`${thrown.message}.`));
  };
  const takeImages = (files: readonly NamedFile[]) => {
    const images = files.find(({ name }) => /idx3/.test(name));
    const labelled = files.find(({ name }) => /idx1/.test(name));
    if (images && labelled) onOwn({ ...own, images, labels: labelled });
    else onProblem('Choose two files: …images-idx3-ubyte and …labels-idx1-ubyte, plain or .gz.');
  };
  return (
    <section class="panel" aria-label="Files">
      <h2>Files</h2>
      <p class="quiet">Files are read by this page alone; nothing is sent anywhere.</p>
      <div class="files">
        {RUN_NAMES.map((run: RunName, k) => (
          <fieldset key={run}>
            <legend>Adapter of {labels[k]}</legend>
            <button
              type="button"
              disabled={!isOpen}
              onClick={() => client.send({ kind: 'download', run })}
            >
              Download (PEFT layout)
            </button>
            <label>
              Bring one back: both files
              <input
                type="file"
                name={`adapter-${run}`}
                multiple
                accept=".json,.safetensors"
                disabled={!isOpen || phase === 'running'}
                onChange={chosen((files) => client.send({ kind: 'upload', run, files }))}
              />
            </label>
          </fieldset>
        ))}
        <fieldset>
          <legend>Your own, from the next reset on</legend>
          <label>
            {model === 'vit'
              ? 'Weights of the same vision transformer (.safetensors)'
              : 'Weights of the same decoder (.safetensors)'}
            <input
              type="file"
              name="weights"
              accept=".safetensors"
              onChange={chosen(([weights]) => weights && onOwn({ ...own, weights }))}
            />
          </label>
          {model === 'vit' ? (
            <label>
              Images and labels (IDX, both files)
              <input type="file" name="images" multiple onChange={chosen(takeImages)} />
            </label>
          ) : (
            <label>
              Text to learn
              <textarea
                name="text"
                rows={5}
                maxLength={200_000}
                placeholder="At least a page of text; the rules of a lighthouse are learnt otherwise."
                onChange={(event) => {
                  const text = event.currentTarget.value;
                  const { text: _, ...others } = own;
                  onOwn(text.trim() === '' ? others : { ...own, text });
                }}
              />
            </label>
          )}
        </fieldset>
      </div>
    </section>
  );
}
