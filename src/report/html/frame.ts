/** The frame of every page: one file with its style sheet, that asks for nothing else. */
import { type Child, element, styleSheet } from '../markup.js';
import { STYLE } from './style.js';

/** A whole HTML document, which is well-formed XML as well. */
export function htmlDocument(title: string, ...main: readonly Child[]): string {
  const page = element(
    'html',
    { lang: 'en' },
    element(
      'head',
      {},
      element('meta', { charset: 'utf-8' }),
      element('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
      element('title', {}, title),
      styleSheet(STYLE),
    ),
    element('body', {}, element('main', {}, ...main)),
  );
  return `<!DOCTYPE html>\n${page.markup}\n`;
}
