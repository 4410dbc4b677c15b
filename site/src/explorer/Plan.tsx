/** The plan: which equations share a kernel, and where results lie in memory. */
import type { PlanView } from './code.js';

const ROW = 18;
const WIDTH = 320;

function Memory({ places }: Pick<PlanView, 'places'>) {
  const end = Math.max(1, ...places.map(({ to }) => to));
  if (places.length === 0) return <p>No result has to be kept between kernels.</p>;
  return (
    <figure class="memory">
      <svg
        viewBox={`0 0 ${WIDTH} ${ROW * places.length}`}
        role="img"
        aria-label={`Intermediate results in ${end} bytes: ${places.map((p) => `${p.name} from ${p.from} to ${p.to}`).join('; ')}`}
      >
        {places.map(({ name, from, to }, i) => (
          <g key={name}>
            <rect
              x={(from / end) * WIDTH}
              y={i * ROW + 1}
              width={Math.max(2, ((to - from) / end) * WIDTH)}
              height={ROW - 3}
            />
            <text x={4} y={i * ROW + 13}>
              {name}
            </text>
          </g>
        ))}
      </svg>
      <figcaption>
        Where intermediate results lie, from byte 0 to {end}, in the order in which they are made.
        What is not needed any more is written over.
      </figcaption>
    </figure>
  );
}

export function Plan({ plan }: { readonly plan: PlanView }) {
  const [costs, peak] = plan.text.split('\n');
  return (
    <>
      <p>
        {costs}; {peak}.
      </p>
      <ol class="kernels">
        {plan.kernels.map(({ fills, reads, equations }) => (
          <li key={fills}>
            <strong>{fills}</strong> from {reads.length === 0 ? 'nothing' : reads.join(', ')}
            <ul>
              {equations.map((equation) => (
                <li key={equation}>
                  <code>{equation}</code>
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
      <h3>Memory</h3>
      <Memory places={plan.places} />
    </>
  );
}
