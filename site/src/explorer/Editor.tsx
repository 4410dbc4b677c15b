/** CodeMirror, loaded when the page is there; a plain text field until then, and where it fails. */
import { useEffect, useRef, useState } from 'preact/hooks';

interface EditorProps {
  readonly code: string;
  readonly onCode: (code: string) => void;
}

/** What the page needs of the editor. */
interface Handle {
  readonly set: (code: string) => void;
  readonly destroy: () => void;
}

async function open(
  place: HTMLElement,
  code: string,
  onCode: (code: string) => void,
): Promise<Handle> {
  const [{ EditorView, basicSetup }, { javascript }] = await Promise.all([
    import('codemirror'),
    import('@codemirror/lang-javascript'),
  ]);
  const view = new EditorView({
    doc: code,
    parent: place,
    extensions: [
      basicSetup,
      javascript({ typescript: true }),
      EditorView.contentAttributes.of({ 'aria-label': 'The function, in TypeScript' }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) onCode(update.state.doc.toString());
      }),
    ],
  });
  return {
    set: (text) => {
      if (text === view.state.doc.toString()) return;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    destroy: () => view.destroy(),
  };
}

export function Editor({ code, onCode }: EditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const handle = useRef<Handle | undefined>(undefined);
  const listener = useRef(onCode);
  listener.current = onCode;
  const [isReady, setReady] = useState(false);
  useEffect(() => {
    let gone = false;
    open(place.current as HTMLDivElement, code, (text) => listener.current(text)).then(
      (made) => {
        if (gone) made.destroy();
        else {
          handle.current = made;
          setReady(true);
        }
      },
      // The text field stays.
      () => undefined,
    );
    return () => {
      gone = true;
      handle.current?.destroy();
    };
  }, []);
  useEffect(() => handle.current?.set(code), [code, isReady]);
  return (
    <div class="editor">
      <div ref={place} hidden={!isReady} />
      {!isReady && (
        <textarea
          aria-label="The function, in TypeScript"
          rows={12}
          spellcheck={false}
          value={code}
          onInput={(event) => onCode(event.currentTarget.value)}
        />
      )}
    </div>
  );
}
