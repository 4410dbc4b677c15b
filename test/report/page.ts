/** A strict XML reading of a page, for tests: it throws where the page is not well-formed. */
import { SaxesParser } from 'saxes';

export interface Node {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: Node[];
  /** All text inside, in order. */
  text: string;
}

/** The root element of a document. */
export function parse(document: string): Node {
  const root: Node = { name: '', attributes: {}, children: [], text: '' };
  const open = [root];
  const parser = new SaxesParser({ xmlns: false });
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('opentag', ({ name, attributes }) => {
    const node: Node = { name, attributes: { ...attributes }, children: [], text: '' };
    open.at(-1)?.children.push(node);
    open.push(node);
  });
  parser.on('text', (text) => {
    for (const node of open) node.text += text;
  });
  parser.on('closetag', () => open.pop());
  parser.write(document).close();
  return root;
}

/** Every element under a node with this name, or all of them. */
export const all = (node: Node, name?: string): readonly Node[] =>
  node.children.flatMap((child) => [
    ...(name === undefined || child.name === name ? [child] : []),
    ...all(child, name),
  ]);
