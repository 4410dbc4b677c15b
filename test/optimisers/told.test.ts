/** What an optimiser tells of itself, for those that wrap it: its learning rate and its decay. */
import {
  adamW,
  chain,
  clipByGlobalNorm,
  cosineSchedule,
  gradientTransformationMonoid,
  scaleByMultipliers,
  sgd,
} from '../../src/optimisers/index.js';

const schedule = cosineSchedule(0.3, { totalSteps: 10 });
const decays = (path: string) => path !== 'bias';

describe('the learning rate', () => {
  test.each([
    ['adamW', adamW({ learningRate: schedule })],
    ['sgd', sgd({ learningRate: schedule, momentum: 0.9 })],
    ['a chain with clipping', chain(clipByGlobalNorm(1), adamW({ learningRate: schedule }))],
    [
      'a chain with factors',
      chain(
        sgd({ learningRate: schedule }),
        scaleByMultipliers(() => 2),
      ),
    ],
  ])('of %s', (_, optimiser) => {
    expect([0, 3, 10].map((step) => optimiser.learningRate?.at(step))).toEqual(
      [0, 3, 10].map(schedule.at),
    );
  });

  test('is not there where nothing descends', () => {
    expect(clipByGlobalNorm(1).learningRate).toBeUndefined();
    expect(chain().learningRate).toBeUndefined();
    expect(gradientTransformationMonoid.empty.learningRate).toBeUndefined();
  });

  test('a number is a constant schedule', () => {
    expect(sgd({ learningRate: 0.5 }).learningRate?.at(7)).toBe(0.5);
  });
});

describe('decoupled decay', () => {
  test('is told with its exceptions, through chains', () => {
    const adam = adamW({ learningRate: 1, weightDecay: 0.1, decays });
    expect(adam.decay).toEqual({ weightDecay: 0.1, decays });
    expect(
      chain(
        clipByGlobalNorm(1),
        adam,
        scaleByMultipliers(() => 1),
      ).decay,
    ).toEqual(adam.decay);
  });

  test('is none where there is none, or where it is coupled to the gradient', () => {
    expect(adamW({ learningRate: 1 }).decay).toBeUndefined();
    expect(sgd({ learningRate: 1, weightDecay: 0.1 }).decay).toBeUndefined();
  });
});
