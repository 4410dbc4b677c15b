/** The commands, one line each. */
import type { Command } from './command.js';
import { doctorCommand } from './commands/doctor.js';
import { evaluateCommand } from './commands/evaluate.js';
import { finetuneCommand } from './commands/finetune.js';
import { generateCommand } from './commands/generate.js';
import { inspectCommand } from './commands/inspect.js';
import { landscapeCommand } from './commands/landscape.js';
import { mergeCommand } from './commands/merge.js';
import { sharpnessCommand } from './commands/sharpness.js';

export const COMMANDS: readonly Command[] = [
  finetuneCommand,
  evaluateCommand,
  generateCommand,
  mergeCommand,
  inspectCommand,
  landscapeCommand,
  sharpnessCommand,
  doctorCommand,
];
