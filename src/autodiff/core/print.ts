/** Tapes as text, for people: one equation a line, letters for variables. */
import { showAval, showShape } from './aval.js';
import { isHostArray, numberAt } from './host.js';
import type { Tape, Var } from './tape.js';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz';

/** a … z, aa, ab, … */
function letters(n: number): string {
  const head = n >= 26 ? letters(Math.floor(n / 26) - 1) : '';
  return head + ALPHABET[n % 26];
}

const isTape = (x: unknown): x is Tape =>
  typeof x === 'object' && x !== null && 'equations' in x && 'outputs' in x;

function showParam(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(showParam).join(',')}]`;
  if (isHostArray(value)) {
    const { shape, offset } = value;
    return shape.length === 0 ? String(numberAt(value, offset)) : `data${showShape(shape)}`;
  }
  if (typeof value === 'object' && value !== null) return showParams(value);
  return String(value);
}

function showParams(params: object): string {
  const entries = Object.entries(params).filter(
    ([, value]) => value !== undefined && !isTape(value),
  );
  return entries.length === 0
    ? ''
    : `{${entries.map(([k, v]) => `${k}=${showParam(v)}`).join(' ')}}`;
}

/** The tape as text; tapes held by an equation (`checkpoint`) are indented below it. */
export function printTape(tape: Tape, indent = ''): string {
  const names = new Map<number, string>();
  const name = (v: Var): string => {
    const known = names.get(v.id);
    if (known !== undefined) return known;
    const fresh = letters(names.size);
    names.set(v.id, fresh);
    return fresh;
  };
  const typed = (v: Var) => `${name(v)}: ${showAval(v)}`;
  const lines = tape.inputs.map((v) => `input ${typed(v)}`);
  for (const { primitive, inputs, params, outputs } of tape.equations) {
    const operands = inputs.map(name);
    const left = outputs.map(typed).join(', ');
    lines.push(`${left} = ${[primitive.name + showParams(params ?? {}), ...operands].join(' ')}`);
    for (const held of Object.values(params ?? {})) {
      if (isTape(held)) lines.push(printTape(held, '  '));
    }
  }
  lines.push(`return ${tape.outputs.map(name).join(', ')}`);
  return lines
    .flatMap((line) => line.split('\n'))
    .map((line) => indent + line)
    .join('\n');
}
