/**
 * Markup as a type of its own, so that text can only enter a page escaped. The output is
 * well-formed XML and valid HTML at once, for pages and for the SVG inside them.
 */

/** Text that is already markup; only `element` and `styleSheet` make it. */
export interface Markup {
  readonly markup: string;
}

/** Strings and numbers are escaped; lists are flattened; null is nothing. */
export type Child = string | number | Markup | null | readonly Child[];

/** null leaves the attribute out; numbers are rounded to hundredths. */
export type Attributes = Readonly<Record<string, string | number | null>>;

/** Elements that never have content. All others get a closing tag, as HTML wants it. */
const EMPTY = new Set(['meta', 'br', 'path', 'line', 'rect', 'circle', 'polygon', 'stop']);

/** An element with its attributes and children. */
export function element(name: string, attributes: Attributes, ...children: Child[]): Markup {
  const pairs = Object.entries(attributes).map(([key, value]) =>
    value === null ? '' : ` ${key}="${escapeText(attributeText(value))}"`,
  );
  const start = `<${name}${pairs.join('')}`;
  return EMPTY.has(name) && children.length === 0
    ? { markup: `${start}/>` }
    : { markup: `${start}>${render(children)}</${name}>` };
}

/** A `<style>` element. The sheet is our own and must contain neither `<` nor `&`. */
export const styleSheet = (css: string): Markup => ({ markup: `<style>${css}</style>` });

/** Children as markup, side by side. */
export const fragment = (...children: Child[]): Markup => ({ markup: render(children) });

const render = (child: Child): string =>
  child === null
    ? ''
    : typeof child === 'string' || typeof child === 'number'
      ? escapeText(String(child))
      : 'markup' in child
        ? child.markup
        : child.map(render).join('');

const attributeText = (value: string | number): string =>
  typeof value === 'number' ? String(hundredths(value)) : value;

/** Hundredths are finer than any pixel; `+ 0` turns −0 into 0. */
export const hundredths = (value: number): number => Math.round(value * 100) / 100 + 0;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for an element or an attribute; what XML forbids (control characters, lone surrogates) becomes a space. */
export const escapeText = (text: string): string =>
  text
    .replace(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, ' ')
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
