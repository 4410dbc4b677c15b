/** Fine-tuning from files to files (Node): what the command line does, as functions. */
export * from './evaluate.js';
export * from './finetune.js';
export * from './look.js';
export * from './methods.js';
export { aidsOf, hostWeights, openBackend, uploaded } from './model.js';
export { type Page, renderPage } from './page.js';
export { type FinetunePlan, type PlanSettings, planFinetune } from './plan.js';
export { writeRunReport } from './report.js';
export { writeWhole } from './runFolder.js';
export * from './settings.js';
export * from './tasks/index.js';
