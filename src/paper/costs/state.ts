/**
 * Bytes that methods keep for the adapted matrices [m, n] besides the frozen weights: trained numbers
 * and gradients in float32, two moments each by Adam, and what the method adds. By formula, so that
 * it can be checked by hand; `llama.ts` has the sizes.
 */
import { adaptedShapes } from './llama.js';

interface State {
  readonly label: string;
  /** As it is shown. */
  readonly formula: string;
  readonly bytes: (m: number, n: number) => number;
}

/** The rank of all of them. */
export const RANK = 8;

const factors = (m: number, n: number): number => RANK * (m + n);
const lora = (m: number, n: number): number => 16 * factors(m, n);

export const STATES: readonly State[] = [
  { label: 'LoRA', formula: '16 r (m + n)', bytes: lora },
  { label: 'Flat-LoRA', formula: '+ 4 m', bytes: (m, n) => lora(m, n) + 4 * m },
  {
    label: 'Flat-LoRA on A, B',
    formula: '+ 4 (m + r)',
    bytes: (m, n) => lora(m, n) + 4 * (m + RANK),
  },
  {
    label: 'SAM on A, B',
    formula: '+ 4 r (m + n)',
    bytes: (m, n) => lora(m, n) + 4 * factors(m, n),
  },
  { label: 'SAM on W', formula: '+ 4 m n', bytes: (m, n) => lora(m, n) + 4 * m * n },
  { label: 'DoRA', formula: '+ 16 m', bytes: (m, n) => lora(m, n) + 16 * m },
  {
    label: 'LoRA-Pro',
    formula: '8 r (m + n) + 8 m n',
    bytes: (m, n) => 8 * factors(m, n) + 8 * m * n,
  },
  {
    label: 'GaLore',
    formula: '4 m n + 8 r max(m, n) + 4 r min(m, n)',
    bytes: (m, n) => 4 * m * n + 8 * RANK * Math.max(m, n) + 4 * RANK * Math.min(m, n),
  },
  { label: 'Full fine-tuning', formula: '12 m n', bytes: (m, n) => 12 * m * n },
];

/** Each method's formula and its sum over the matrices of Llama-2-7B, in GiB. */
export function stateRows(): readonly (readonly string[])[] {
  const shapes = adaptedShapes();
  return STATES.map(({ label, formula, bytes }) => [
    label,
    formula,
    (shapes.reduce((sum, [m, n]) => sum + bytes(m, n), 0) / 2 ** 30).toFixed(3),
  ]);
}
