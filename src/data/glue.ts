/**
 * Labelled texts in the official file formats: GLUE's tasks (Wang et al. 2019), and the two sets of
 * film-review sentences of Pang and Lee (2004, 2005).
 *
 * GLUE's tables are cut at tabs and nowhere else: a quotation mark is a letter like others. Lines of
 * MRPC have odd numbers of them, so that a reader of quoted CSV swallows whole lines.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { type DataError, dataError } from './types.js';

/** One text, or a pair of them, with the position of its label in `classes`. */
export interface TextExample {
  readonly text: string;
  readonly second?: string;
  readonly label: number;
}

export interface TextDataset {
  /** Such as `SST-2/train`. */
  readonly name: string;
  readonly examples: readonly TextExample[];
  /** Names of the classes; label 1 means `classes[1]`. */
  readonly classes: readonly string[];
}

type ParseText = (bytes: Uint8Array, file: string) => E.Either<DataError, TextDataset>;

/** A hostile line is quoted only this far, so that an error stays one short line. */
const QUOTED = 20;
const quote = (text: string): string =>
  JSON.stringify(text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text);

/** The lines of a file in UTF-8, ended by LF or CRLF, without its byte order mark. */
const linesOf = (bytes: Uint8Array, file: string): E.Either<DataError, readonly string[]> =>
  pipe(
    E.tryCatch(
      () => new TextDecoder('utf-8', { fatal: true }).decode(bytes),
      () => dataError(`${file}: not a text in UTF-8`),
    ),
    E.filterOrElse(
      (text) => text.trim() !== '',
      () => dataError(`${file}: the file is empty`),
    ),
    // Nothing else ends a line: a line separator of Unicode may stand in a sentence.
    E.map((text) => text.replace(/[\r\n]+$/, '').split(/\r?\n/)),
  );

/** The example of a line, or what is wrong with it. */
type ReadLine = (line: string) => E.Either<string, TextExample>;

/** All lines but the first `skip`. */
const readLines =
  (classes: readonly string[], skip: number, read: ReadLine): ParseText =>
  (bytes, file) =>
    pipe(
      linesOf(bytes, file),
      E.map((lines) => lines.slice(skip)),
      E.chain(
        E.traverseArrayWithIndex((i, line) =>
          pipe(
            read(line),
            E.mapLeft((wrong) => dataError(`${file}: line ${i + 1 + skip} ${wrong}`)),
          ),
        ),
      ),
      E.filterOrElse(
        (examples) => examples.length > 0,
        () => dataError(`${file}: there are no rows below the heading`),
      ),
      E.map((examples) => ({ name: file, examples, classes })),
    );

/** Where the columns of a table are. */
interface Columns {
  readonly count: number;
  readonly text: number;
  readonly second?: number;
  readonly label: number;
  /** How the labels are written, in the order of `classes`. */
  readonly labels: readonly string[];
}

function readColumns({ count, text, second, label, labels }: Columns): ReadLine {
  return (line) => {
    const fields = line.split('\t');
    if (fields.length !== count) {
      return E.left(`has ${fields.length} fields, expected ${count} between tabs`);
    }
    const given = fields[label] as string;
    const at = labels.indexOf(given.trim());
    if (at < 0) return E.left(`has the label ${quote(given)}, expected ${labels.join(' or ')}`);
    const column = (i: number) => (fields[i] as string).trim();
    const texts = second === undefined ? [column(text)] : [column(text), column(second)];
    if (texts.includes('')) return E.left('has an empty text');
    return E.right({
      text: texts[0] as string,
      ...(texts[1] !== undefined && { second: texts[1] }),
      label: at,
    });
  };
}

const ENTAILMENT = ['entailment', 'not_entailment'];

/** SST-2: `sentence`, `label` (0 negative, 1 positive), below a heading. */
export const parseSst2: ParseText = readLines(
  ['negative', 'positive'],
  1,
  readColumns({ count: 2, text: 0, label: 1, labels: ['0', '1'] }),
);

/**
 * CoLA, the public release: source, label (0 unacceptable, 1 acceptable), the author's own mark, the
 * sentence; no heading. Its out-of-domain set has the same form.
 */
export const parseCola: ParseText = readLines(
  ['unacceptable', 'acceptable'],
  0,
  readColumns({ count: 4, text: 3, label: 1, labels: ['0', '1'] }),
);

/** MRPC: `Quality` (1 for the same meaning), two ids, two sentences, below a heading. */
export const parseMrpc: ParseText = readLines(
  ['different', 'equivalent'],
  1,
  readColumns({ count: 5, text: 3, second: 4, label: 0, labels: ['0', '1'] }),
);

/** RTE: number, premise, hypothesis, label, below a heading. */
export const parseRte: ParseText = readLines(
  ENTAILMENT,
  1,
  readColumns({ count: 4, text: 1, second: 2, label: 3, labels: ENTAILMENT }),
);

/** QNLI: number, question, sentence, label (does the sentence have the answer?), below a heading. */
export const parseQnli: ParseText = parseRte;

const MNLI_CLASSES = ['entailment', 'neutral', 'contradiction'];

/** MNLI as one JSON object a line: `premise`, `hypothesis`, `label`. */
export const parseMnli: ParseText = readLines(MNLI_CLASSES, 0, (line) =>
  pipe(
    E.tryCatch(
      (): unknown => JSON.parse(line),
      () => `is not JSON: ${quote(line)}`,
    ),
    E.chain((row) => {
      const { premise, hypothesis, label } = (row ?? {}) as Readonly<Record<string, unknown>>;
      const at = MNLI_CLASSES.indexOf(String(label));
      return typeof premise === 'string' && typeof hypothesis === 'string' && at >= 0
        ? E.right({ text: premise.trim(), second: hypothesis.trim(), label: at })
        : E.left(`lacks premise, hypothesis or one of the labels ${MNLI_CLASSES.join(', ')}`);
    }),
  ),
);

/**
 * A file with one sentence a line, all of one class; two such files make a data set (`joinClasses`).
 * This is the form of Pang and Lee's `rt-polarity.neg`, `.pos` and `plot…`, `quote…` files.
 */
export const parseSentences = (classes: readonly string[], label: number): ParseText =>
  readLines(classes, 0, (line) =>
    line.trim() === '' ? E.left('is empty') : E.right({ text: line.trim(), label }),
  );

/** Data sets one after another, under one name. */
export const joinDatasets = (name: string, parts: readonly TextDataset[]): TextDataset => ({
  name,
  examples: parts.flatMap(({ examples }) => examples),
  classes: parts[0]?.classes ?? [],
});
