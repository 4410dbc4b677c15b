/** A text for readers who have none at hand: rules of a lighthouse, in a tone that the decoder has not met. */
const RULES = [
  'The lamp shall be lit when the sun has touched the sea, and not before.',
  'The keeper shall wipe the glass each morning, from the top of the tower to the foot of the stair.',
  'When the fog comes in, the bell shall be rung four times in every hour until the fog is gone.',
  'No ship shall be left without an answer, and no answer shall be given without a light.',
  'The oil shall be measured by day and written in the book by night.',
  'Whoever sleeps on the watch shall carry the water of the next seven days.',
  'The cat shall have fish on the first day of the week, and milk on every other.',
  'When the wind turns to the north, the shutters shall be closed on the side of the land.',
  'The stair has ninety steps; the keeper shall count them when going up, and trust them when coming down.',
  'A letter that comes by the boat shall be read aloud at supper, but the last line may be kept.',
  'If the lamp should fail, the keeper shall burn the chairs, then the table, and last of all the book.',
  'The sea shall not be spoken to in anger.',
] as const;

/** Each rule stands under a number and in a season, so that there are enough words to learn from. */
export const SAMPLE_TEXT = ['spring', 'summer', 'autumn', 'winter']
  .flatMap((season) =>
    RULES.map((rule, i) => `Rule ${i + 1} of the lighthouse, for the ${season}. ${rule}`),
  )
  .join('\n');
