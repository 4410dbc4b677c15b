/** The architectures that can be read, one line each. */
import type { AnyArchitecture } from './architecture.js';
import { gpt2 } from './architectures/gpt2.js';
import { llama, mistral, qwen2, qwen3 } from './architectures/llama.js';

export const ARCHITECTURES: readonly AnyArchitecture[] = [llama, mistral, qwen2, qwen3, gpt2];
