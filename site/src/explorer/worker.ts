/** The Worker of the explorer: the reader's code runs here and nowhere else. */
import { answer } from './answer.js';
import type { FromWorker, ToWorker } from './protocol.js';
import { problemOf } from './source.js';

addEventListener('message', async ({ data }: MessageEvent<ToWorker>) => {
  const { id, source, question } = data;
  const say = (message: FromWorker): void => postMessage(message);
  try {
    say({ id, reply: await answer(source, question) });
  } catch (thrown) {
    const { message, line } = problemOf(thrown);
    say({ id, problem: message, line });
  }
});
