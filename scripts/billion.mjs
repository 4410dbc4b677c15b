/**
 * Makes a checkpoint of a Llama with 1.1 billion random parameters in bfloat16 shards, to try what fits:
 *
 *     npm run build && node scripts/billion.mjs FOLDER
 *     node dist/cli/index.js inspect --model FOLDER --plan --precision bfloat16 --batch-size 1 --max-length 128
 *     node dist/cli/index.js finetune --model FOLDER --train FOLDER/text.jsonl --precision bfloat16 \
 *       --batch-size 1 --max-length 128 --steps 2 --validation-share 0 --out FOLDER/run
 *
 * No more than one shard lies in memory.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  Bfloat16Bits,
  foldIn,
  hostArray,
  hostBits,
  key,
  orThrow,
  sizeOf,
} from '../dist/autodiff/index.js';
import { stored } from '../dist/checkpoints/index.js';
import { writeSafetensors } from '../dist/checkpoints/node/index.js';
import { architectureOf, storedShapeOf } from '../dist/huggingface/index.js';

const SHARD_BYTES = 300 * 2 ** 20;

const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 32000,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
  eos_token_id: 2,
  pad_token_id: 0,
};

/** Small random numbers of both signs as bfloat16: about uniform in ±0.04; norms are ones. */
function draw(shape, n) {
  const data = new Bfloat16Bits(sizeOf(shape));
  if (shape.length === 1) return hostArray(data.fill(0x3f80), shape);
  // One block of random words, repeated at odd offsets: what the numbers are does not matter here.
  const words = hostBits(foldIn(key(1), n), 65536);
  for (let i = 0; i < data.length; i++) {
    const word = words[(i * 2654435761 + (i >>> 16)) & 65535];
    data[i] = ((word & 1) << 15) | (0x3c00 + ((word >>> 1) & 0x1ff));
  }
  return hostArray(data, shape);
}

const folder = process.argv[2];
if (folder === undefined) throw new Error('billion: name a folder');
await mkdir(folder, { recursive: true });
const architecture = orThrow(architectureOf(CONFIG));
const places = architecture.places(orThrow(architecture.config(CONFIG)));
const shards = [[]];
let bytes = 0;
for (const place of places) {
  const size = 2 * sizeOf(storedShapeOf(place));
  if (bytes + size > SHARD_BYTES && shards.at(-1).length > 0) {
    shards.push([]);
    bytes = 0;
  }
  shards.at(-1).push(place);
  bytes += size;
}
const weightMap = {};
let n = 0;
for (const [i, shard] of shards.entries()) {
  const name = `model-${String(i + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`;
  const tensors = new Map(
    shard.map((place) => [place.name, stored(draw(storedShapeOf(place), n++))]),
  );
  for (const place of shard) weightMap[place.name] = name;
  orThrow(
    await writeSafetensors(path.join(folder, name), {
      tensors,
      metadata: new Map([['format', 'pt']]),
    })(),
  );
  process.stderr.write(`${name}\n`);
}
await writeFile(
  path.join(folder, 'model.safetensors.index.json'),
  JSON.stringify({ weight_map: weightMap }),
);
await writeFile(path.join(folder, 'config.json'), JSON.stringify(CONFIG, null, 2));
const words = ['red', 'blue', 'cat', 'dog', 'one', 'two', 'sun', 'moon'];
await writeFile(
  path.join(folder, 'tokenizer.json'),
  JSON.stringify({
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: null,
    decoder: null,
    model: {
      type: 'WordLevel',
      vocab: Object.fromEntries(['<unk>', ...words].map((w, i) => [w, i])),
      unk_token: '<unk>',
    },
  }),
);
const row = Array.from({ length: 127 }, (_, i) => words[(i * 5) % 8]).join(' ');
await writeFile(path.join(folder, 'text.jsonl'), `${JSON.stringify({ text: row })}\n`.repeat(2));
process.stderr.write(`${places.reduce((sum, { shape }) => sum + sizeOf(shape), 0)} parameters\n`);
