/** From a command line to an exit code. */
import { CommanderError, Command as Program } from 'commander';
import { declare, type Io, settingsOf } from './command.js';
import { EXIT, exitOf } from './exit.js';
import { COMMANDS } from './registry.js';

export interface Streams {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly signal: AbortSignal;
}

/** JSON that has null where a number is NaN or infinite, indented. */
const jsonText = (result: object): string => JSON.stringify(result, null, 2);

/** A result for people where a command has no words of its own. */
const plainText = (result: object): string =>
  Object.entries(result)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join('\n');

/**
 * Runs a command line (without `node` and the script).
 * @returns the exit code; nothing is thrown.
 */
export async function main(
  argv: readonly string[],
  { stdout, stderr, signal }: Streams,
  version: string,
): Promise<number> {
  let code: number = EXIT.ok;
  const program = new Program('flatlora')
    .description('LoRA fine-tuning that ends in flat minima, from a terminal')
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: stdout, writeErr: stderr });
  for (const command of COMMANDS) {
    const sub = program
      .command(command.name)
      .description(command.summary)
      .exitOverride()
      .configureOutput({ writeOut: stdout, writeErr: stderr })
      .action(async (flags: Readonly<Record<string, unknown>>) => {
        const json = flags.json === true;
        const io: Io = {
          signal,
          err: (line) => stderr(line.endsWith('\n') ? line : `${line}\n`),
          out: (result, text = () => plainText(result)) =>
            stdout(`${json ? jsonText(result) : text()}\n`),
        };
        code = await command.run(await settingsOf(flags), io);
      });
    declare(sub, command);
  }
  try {
    await program.parseAsync(argv as string[], { from: 'user' });
    return code;
  } catch (thrown) {
    // Help and version come this way, too.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const { code: failed, line } = exitOf(thrown);
    stderr(`flatlora: ${line}\n`);
    return failed;
  }
}
