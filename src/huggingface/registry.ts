/** The architectures that can be read, one line each. */
import type { AnyArchitecture } from './architecture.js';
import { bert, roberta } from './architectures/bert.js';
import { clip, clipText, clipVision } from './architectures/clip.js';
import { gpt2 } from './architectures/gpt2.js';
import { llama, mistral, qwen2, qwen3 } from './architectures/llama.js';
import { t5 } from './architectures/t5.js';
import { vit } from './architectures/vit.js';

export const ARCHITECTURES: readonly AnyArchitecture[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  gpt2,
  t5,
  bert,
  roberta,
  vit,
  clip,
  clipVision,
  clipText,
];
