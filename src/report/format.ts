/** How numbers become text: one place, so that every form of the report shows the same digits. */
import { isMeasured, type Measured } from './summary.js';

/** What is shown where there is no number. */
export const MISSING = 'n/a';

/** How a quantity is shown. `percent` takes fractions, `milliseconds` takes seconds. */
export type Format = 'percent' | 'significant' | 'milliseconds' | 'count';

const withMinus = (text: string): string => text.replace(/-/g, '−');

/** At least so many significant digits, whole numbers in full; powers of ten outside 0.001 to 1e5. */
function significant(value: number, digits: number): string {
  if (value === 0) return '0';
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  if (size < 1e-3 || size >= 1e5) {
    const [mantissa = '', exponent = ''] = value.toExponential(digits - 1).split('e');
    return `${mantissa}e${exponent.replace('+', '')}`;
  }
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return grouped((decimals === 0 ? value : rounded).toFixed(decimals));
}

/** Commas between groups of three digits, as in 12,345. */
const grouped = (text: string): string => {
  const [whole = '', fraction] = text.split('.');
  const parts = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? parts : `${parts}.${fraction}`;
};

/** A number in its format, without its unit; `n/a` when there is none. */
export function formatMeasured(value: Measured | undefined, format: Format, digits = 3): string {
  if (!isMeasured(value)) return MISSING;
  switch (format) {
    case 'percent':
      return withMinus(withoutNegativeZero((value * 100).toFixed(1)));
    case 'milliseconds':
      return withMinus(significant(value * 1000, digits));
    case 'count':
      return withMinus(
        grouped(withoutNegativeZero(value.toFixed(Number.isInteger(value) ? 0 : 1))),
      );
    case 'significant':
      return withMinus(significant(value, digits));
  }
}

const withoutNegativeZero = (text: string): string =>
  /^-0(\.0*)?$/.test(text) ? text.slice(1) : text;

/** As `formatMeasured`, with a plus sign before what is above zero. */
export function formatSigned(value: Measured | undefined, format: Format, digits = 3): string {
  const text = formatMeasured(value, format, digits);
  return isMeasured(value) && value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** A setting as it is shown; numbers in full. */
export const formatSetting = (value: string | number | boolean | null): string =>
  typeof value === 'string'
    ? value
    : typeof value === 'boolean'
      ? value
        ? 'yes'
        : 'no'
      : isMeasured(value)
        ? withMinus(String(value))
        : MISSING;

/** "1 seed", "5 seeds". */
export const counted = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A label inside a sentence: its first letter small, unless the word is an abbreviation. */
export const inSentence = (label: string): string =>
  label.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
