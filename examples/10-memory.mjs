/**
 * What fine-tuning will take before anything is loaded: the same training step of a Llama with 1.1 billion
 * parameters, planned with frozen weights of 4 and of 2 bytes, with and without blocks computed again.
 */
import { orThrow } from 'flatlora/autodiff';
import { planFinetune } from 'flatlora/finetune';
import { architectureOf } from 'flatlora/huggingface';

const json = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 32000,
};
const architecture = orThrow(architectureOf(json));
const config = orThrow(architecture.config(json));
const gibibytes = (bytes) => (bytes / 2 ** 30).toFixed(2).padStart(6);
console.log('precision  again   weights   other     peak (GiB)');
for (const [precision, checkpointing] of [
  ['float32', false],
  ['bfloat16', false],
  ['bfloat16', true],
]) {
  const plan = planFinetune(architecture, config, {
    method: 'flat-lora',
    rank: 8,
    alpha: 16,
    sigma: 0.05,
    precision,
    checkpointing,
    batchSize: 1,
    microBatches: 1,
    maxLength: 256,
    maxTargetLength: 1,
    threads: 2,
  });
  console.log(
    `${precision.padEnd(10)} ${String(checkpointing).padEnd(6)} ${gibibytes(plan.baseBytes)} ${gibibytes(plan.peakBytes - plan.baseBytes)} ${gibibytes(plan.peakBytes)}`,
  );
}
