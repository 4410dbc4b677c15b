/**
 * Every primitive by name. Transforms never look here (an equation holds its primitive); backends,
 * the conformance suite and the documentation do.
 */
import type { Primitive } from '../core/value.js';
import { checkpointPrimitive } from '../transforms/checkpoint.js';
import { attentionPrimitive } from './attention.js';
import { attentionBackwardPrimitive } from './attentionBackward.js';
import { dotPrimitive } from './dot.js';
import * as elementwise from './elementwise.js';
import { gatherPrimitive, scatterAddPrimitive } from './indexing.js';
import { argmaxPrimitive, reduceMaxPrimitive, reduceSumPrimitive } from './reduce.js';
import {
  constantPrimitive,
  deriveKeyPrimitive,
  iotaPrimitive,
  randomBitsPrimitive,
  randomNormalPrimitive,
} from './source.js';
import {
  broadcastPrimitive,
  concatPrimitive,
  padPrimitive,
  reshapePrimitive,
  slicePrimitive,
  transposePrimitive,
} from './structural.js';

export const elementwisePrimitives: readonly Primitive[] = [
  elementwise.addPrimitive,
  elementwise.subPrimitive,
  elementwise.mulPrimitive,
  elementwise.divPrimitive,
  elementwise.negPrimitive,
  elementwise.powPrimitive,
  elementwise.absPrimitive,
  elementwise.signPrimitive,
  elementwise.floorPrimitive,
  elementwise.expPrimitive,
  elementwise.logPrimitive,
  elementwise.sinPrimitive,
  elementwise.cosPrimitive,
  elementwise.tanhPrimitive,
  elementwise.erfPrimitive,
  elementwise.sqrtPrimitive,
  elementwise.maxPrimitive,
  elementwise.minPrimitive,
  elementwise.ltPrimitive,
  elementwise.equalPrimitive,
  elementwise.selectPrimitive,
  elementwise.convertPrimitive,
  elementwise.roundToBfloat16Primitive,
  elementwise.roundToFloat16Primitive,
  elementwise.bitsToUniformPrimitive,
  elementwise.nibblePrimitive,
  elementwise.stopGradientPrimitive,
];

export const primitives: readonly Primitive[] = [
  ...elementwisePrimitives,
  constantPrimitive,
  iotaPrimitive,
  randomBitsPrimitive,
  randomNormalPrimitive,
  deriveKeyPrimitive,
  broadcastPrimitive,
  reshapePrimitive,
  transposePrimitive,
  slicePrimitive,
  padPrimitive,
  concatPrimitive,
  reduceSumPrimitive,
  reduceMaxPrimitive,
  argmaxPrimitive,
  dotPrimitive,
  gatherPrimitive,
  scatterAddPrimitive,
  checkpointPrimitive,
  attentionPrimitive,
  attentionBackwardPrimitive,
];
