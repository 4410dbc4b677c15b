/** A page of the documentation as HTML: mathematics by KaTeX, quotes from the source, places for experiments. */
import katex from 'katex';
import MarkdownIt from 'markdown-it';
import { quoteOf } from './quotes.js';

export interface Page {
  readonly title: string;
  readonly html: string;
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const math = (tex: string, displayMode: boolean): string =>
  katex.renderToString(tex, { displayMode, throwOnError: true, strict: 'error' });

/** `05-activations.md` → `#05-activations`: chapters are told by the name of their file. */
export const chapterOf = (href: string): string | undefined =>
  /(?:^|\/)(\d\d-[a-z-]+)\.md$/.exec(href)?.[1];

const hrefOf = (token: { attrGet: (name: string) => unknown } | undefined): string =>
  String(token?.attrGet('href') ?? '');

function numbered(text: string, first: number): string {
  return text
    .split('\n')
    .map((line, i) => `<span class="line" data-line="${first + i}">${escaped(line)}</span>`)
    .join('\n');
}

/** @param root of the repository, where quotes are read. @throws Error for a quote that is gone. */
export function renderPage(markdown: string, root: string): Page {
  const md = new MarkdownIt({ html: false, linkify: false });
  md.inline.ruler.before('backticks', 'math', (state, silent) => {
    const found = /^\$`([^`]+)`\$/.exec(state.src.slice(state.pos));
    if (found === null) return false;
    if (!silent) {
      const token = state.push('math', '', 0);
      token.content = found[1] as string;
    }
    state.pos += found[0].length;
    return true;
  });
  md.renderer.rules.math = (tokens, i) => math(tokens[i]?.content ?? '', false);
  md.renderer.rules.fence = (tokens, i) => {
    const { info = '', content = '' } = tokens[i] ?? {};
    if (info === 'math') return `<div class="math" tabindex="0">${math(content, true)}</div>\n`;
    if (info === 'source') {
      return content
        .split('\n')
        .filter((line) => line !== '')
        .map((reference) => {
          const { file, firstLine, text } = quoteOf(root, reference);
          return `<figure class="quote"><figcaption><code>${file}</code>, from line ${firstLine}</figcaption><pre tabindex="0"><code>${numbered(text, firstLine)}</code></pre></figure>`;
        })
        .join('\n');
    }
    return `<pre class="program" tabindex="0"><code>${escaped(content)}</code></pre>\n`;
  };
  md.renderer.rules.link_open = (tokens, i) => {
    const href = hrefOf(tokens[i]);
    const chapter = chapterOf(href);
    if (chapter !== undefined) return `<a href="#${chapter}">`;
    // Files of the repository are named, not linked: the site asks nobody for anything.
    return `<span class="file" title="${escaped(href.replace(/^(\.\.\/)+/, ''))}">`;
  };
  md.renderer.rules.link_close = (tokens, i) => {
    const open = tokens.slice(0, i).findLast(({ type }) => type === 'link_open');
    return chapterOf(hrefOf(open)) === undefined ? '</span>' : '</a>';
  };
  md.renderer.rules.table_open = () => '<div class="table" tabindex="0"><table>\n';
  md.renderer.rules.table_close = () => '</table></div>\n';
  const parts = markdown.split(/^<!-- experiment: ([a-z-]+) -->$/m);
  const html = parts
    .map((part, i) =>
      i % 2 === 0 ? md.render(part) : `<div class="experiment" data-experiment="${part}"></div>\n`,
    )
    .join('');
  return { title: /^# (.+)$/m.exec(markdown)?.[1] ?? 'Untitled', html };
}
