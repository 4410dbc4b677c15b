/** What a screen reader is told: one sentence at a time, in a polite live region. */
import { signal } from '@preact/signals';

export const announcement = signal('');

export const announce = (sentence: string): void => {
  announcement.value = sentence;
};
