/** Two tapes side by side; what belongs together lights up under the pointer or the focus. */
import { useState } from 'preact/hooks';
import type { Line, TapeView } from './analyse.js';

interface TapesProps {
  readonly own: TapeView;
  readonly made: TapeView | string;
  readonly title: string;
}

interface ListProps {
  readonly title: string;
  readonly view: TapeView;
  readonly lit: number | undefined;
  readonly onLit: (origin: number | undefined) => void;
  /** What the lines of this list are called for screen readers. */
  readonly own: boolean;
}

const describe = (line: Line, own: boolean): string =>
  own
    ? 'an equation of the function'
    : line.origin === undefined
      ? 'of the transform itself'
      : `made for equation ${line.origin + 1} of the function`;

function TapeList({ title, view, lit, onLit, own }: ListProps) {
  return (
    <div class="tape">
      <h3>{title}</h3>
      <ul class="tape-inputs">
        {view.inputs.map((text) => (
          <li key={text}>
            <code>input {text}</code>
          </li>
        ))}
      </ul>
      <ol>
        {view.lines.map((line) => (
          <li key={line.left}>
            <button
              type="button"
              class="equation"
              data-origin={line.origin}
              data-lit={line.origin !== undefined && line.origin === lit}
              aria-pressed={line.origin !== undefined && line.origin === lit}
              title={describe(line, own)}
              onMouseEnter={() => onLit(line.origin)}
              onMouseLeave={() => onLit(undefined)}
              onFocus={() => onLit(line.origin)}
              onBlur={() => onLit(undefined)}
              onClick={() => onLit(line.origin)}
            >
              <code>
                <span class="left">{line.left}</span> = {line.right}
              </code>
            </button>
          </li>
        ))}
      </ol>
      <p>
        <code>return {view.outputs}</code>
      </p>
    </div>
  );
}

export function Tapes({ own, made, title }: TapesProps) {
  const [lit, setLit] = useState<number | undefined>(undefined);
  return (
    <>
      <p class="quiet">
        Point at an equation, or move the focus to it: its counterparts light up. An equation of the
        right tape belongs to the one on the left whose rule built it (or which it computes again);
        sums of cotangents, seeds and noise belong to none.
      </p>
      <div class="tapes">
        <TapeList title="The function" view={own} lit={lit} onLit={setLit} own={true} />
        {typeof made === 'string' ? (
          <div class="tape">
            <h3>{title}</h3>
            <p class="error">{made}</p>
          </div>
        ) : (
          <TapeList title={title} view={made} lit={lit} onLit={setLit} own={false} />
        )}
      </div>
    </>
  );
}
