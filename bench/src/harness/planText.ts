/** The memory that a plan cannot do without, read from the text that backends describe programs with. */

const UNITS: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9 };

const SUMMARY =
  /inputs, constants and outputs ([\d.]+) (B|KB|MB|GB).*no placement needs less than ([\d.]+) (B|KB|MB|GB)/;

/** Bytes, to the digits that the text has; undefined where it does not tell. */
export function planLowerBound(text: string): number | undefined {
  const found = SUMMARY.exec(text);
  if (found === null) return undefined;
  const [, held, heldUnit = '', least, leastUnit = ''] = found;
  return (
    Number(held) * (UNITS[heldUnit] ?? Number.NaN) +
    Number(least) * (UNITS[leastUnit] ?? Number.NaN)
  );
}
