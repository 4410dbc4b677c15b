/** The programs of `examples/`, as text; those that need Node say so. */
const files = import.meta.glob('../../../examples/*.mjs', {
  query: '?raw',
  import: 'default',
}) as Readonly<Record<string, () => Promise<string>>>;

export interface Example {
  readonly name: string;
  readonly load: () => Promise<string>;
}

export const EXAMPLES: readonly Example[] = Object.entries(files).map(([file, load]) => ({
  name: file.replace(/^.*\/(.*)\.mjs$/, '$1'),
  load,
}));

/** What a program imports that a page does not have. */
export function needsNode(code: string): string | undefined {
  const specifiers = [...code.matchAll(/from '([^']+)'/g)].map(([, s]) => s as string);
  return specifiers.find(
    (s) => s.startsWith('node:') || s.endsWith('/node') || s === 'flatlora/finetune',
  );
}
