/** The frame of every page: skip link, navigation, the main landmark, a live region for what happens. */
import { type ComponentType, render } from 'preact';
import { announcement } from './announce.js';
import { registerServiceWorker, threadsSentence } from './offline.js';
import './shell.css';

const PAGES = [
  { id: 'playground', href: 'index.html', title: 'Playground' },
  { id: 'explorer', href: 'explorer.html', title: 'Tape explorer' },
  { id: 'book', href: 'book.html', title: 'The book' },
  { id: 'reference', href: 'reference.html', title: 'Reference' },
] as const;

export type PageId = (typeof PAGES)[number]['id'];

function Shell({ page, Content }: { readonly page: PageId; readonly Content: ComponentType }) {
  return (
    <>
      <a class="skip" href="#content">
        Skip to content
      </a>
      <header class="bar">
        <a class="name" href="index.html">
          flatlora
        </a>
        <nav aria-label="Pages">
          {PAGES.map(({ id, href, title }) => (
            <a key={id} href={href} aria-current={id === page ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
      </header>
      <main id="content" tabIndex={-1}>
        <Content />
      </main>
      <footer>{threadsSentence()} Nothing that you do here leaves your machine.</footer>
      <div class="visually-hidden" role="status" aria-live="polite">
        {announcement}
      </div>
    </>
  );
}

/** Shows a page inside the frame. */
export function mount(page: PageId, Content: ComponentType): void {
  void registerServiceWorker();
  render(<Shell page={page} Content={Content} />, document.getElementById('app') as HTMLElement);
}
