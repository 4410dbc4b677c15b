/** The book: one chapter at a time, told by the address. */
import 'katex/dist/katex.min.css';
import { type Chapter, parts } from 'virtual:book';
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { announce } from '../shell/announce.js';
import { mount } from '../shell/shell.js';
import './book.css';
import type { ExperimentName } from './protocol.js';

const CHAPTERS: readonly Chapter[] = parts.flatMap(({ chapters }) => chapters);

const chosen = (): Chapter =>
  CHAPTERS.find(({ id }) => id === location.hash.slice(1)) ?? (CHAPTERS[0] as Chapter);

/** Puts the experiments into their places. */
async function fillIn(article: HTMLElement): Promise<void> {
  const places = [...article.querySelectorAll<HTMLElement>('.experiment')];
  if (places.length === 0) return;
  const { EXPERIMENTS } = await import('./Experiments.js');
  for (const place of places) {
    const make = EXPERIMENTS[place.dataset.experiment as ExperimentName];
    if (place.isConnected) render(make(), place);
  }
}

/** Where the list of chapters stands beside the text; below it folds. */
const isWide = matchMedia('(min-width: 55rem)').matches;

function Book() {
  const [chapter, setChapter] = useState(chosen);
  const [html, setHtml] = useState<string | undefined>(undefined);
  const article = useRef<HTMLElement>(null);
  useEffect(() => {
    const onHash = () => {
      setChapter(chosen());
      scrollTo(0, 0);
    };
    addEventListener('hashchange', onHash);
    return () => removeEventListener('hashchange', onHash);
  }, []);
  useEffect(() => {
    let gone = false;
    setHtml(undefined);
    document.title = `${chapter.title} · flatlora`;
    chapter.load().then(
      (loaded) => {
        if (gone) return;
        setHtml(loaded.html);
        announce(chapter.title);
      },
      () => setHtml('<p class="error">The chapter could not be loaded. Is the page offline?</p>'),
    );
    return () => {
      gone = true;
    };
  }, [chapter]);
  useEffect(() => {
    if (html !== undefined && article.current !== null) void fillIn(article.current);
  }, [html]);
  const at = CHAPTERS.indexOf(chapter);
  const [before, after] = [CHAPTERS[at - 1], CHAPTERS[at + 1]];
  return (
    <div class="book">
      <nav aria-label="Chapters" class="chapters">
        {parts.map(({ title, chapters }) => (
          <details key={title} open={isWide}>
            <summary>{title}</summary>
            <ol>
              {chapters.map(({ id, title: name }) => (
                <li key={id}>
                  <a href={`#${id}`} aria-current={id === chapter.id ? 'page' : undefined}>
                    {name.replace(/^\d+\. /, '')}
                  </a>
                </li>
              ))}
            </ol>
          </details>
        ))}
      </nav>
      <div>
        {html === undefined ? (
          <p>Loading {chapter.title} …</p>
        ) : (
          // The chapter's own key: what Preact has put into it goes with it.
          <article key={chapter.id} ref={article} dangerouslySetInnerHTML={{ __html: html }} />
        )}
        <nav aria-label="Before and after" class="steps">
          {before && <a href={`#${before.id}`}>← {before.title}</a>}
          {after && <a href={`#${after.id}`}>{after.title} →</a>}
        </nav>
      </div>
    </div>
  );
}

mount('book', Book);
