/** Numbers for people. */

/** Three significant digits, without an exponent for what people measure. */
export const short = (x: number): string =>
  !Number.isFinite(x) ? String(x) : Math.abs(x) >= 100 ? x.toFixed(0) : x.toPrecision(3);

/** Ratios near 1, of which a thousandth counts. */
export const fine = (x: number): string => (x < 10 ? x.toFixed(3) : short(x));

export const milliseconds = (ms: number): string =>
  ms < 1 ? `${short(1000 * ms)} µs` : ms < 10_000 ? `${short(ms)} ms` : `${short(ms / 1000)} s`;

export const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** `1 min 20 s` */
export const duration = (seconds: number): string => {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
};
