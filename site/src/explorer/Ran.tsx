/** What came out of a run: values, and the gradient against differences. */
import type { Ran as Result } from './protocol.js';

const number = (x: number): string => x.toPrecision(7);

export function Ran({ ran: { values, gradient } }: { readonly ran: Result }) {
  const { reference, shape, backend, backendError } = values;
  return (
    <>
      <h3>The value</h3>
      <p>
        [{shape.join(', ')}] on the reference backend, in float64:{' '}
        <code>
          {reference.map(number).join(', ')}
          {shape.reduce((n, side) => n * side, 1) > reference.length ? ', …' : ''}
        </code>
      </p>
      <p>
        On <strong>{backend}</strong>: greatest relative error{' '}
        <strong data-testid="backend-error">{backendError.toExponential(1)}</strong>.
      </p>
      <h3>The gradient</h3>
      {typeof gradient === 'string' ? (
        <p>{gradient}</p>
      ) : (
        <>
          <p>
            {gradient.compared} partial derivatives by the tape and by central differences, in
            float64: greatest relative error{' '}
            <strong data-testid="gradient-error">{gradient.greatestError.toExponential(1)}</strong>.
          </p>
          <table>
            <caption>The first of them</caption>
            <thead>
              <tr>
                <th scope="col">with respect to</th>
                <th scope="col">tape</th>
                <th scope="col">differences</th>
              </tr>
            </thead>
            <tbody>
              {gradient.rows.map((row) => (
                <tr key={row.name}>
                  <th scope="row">{row.name}</th>
                  <td>{number(row.tape)}</td>
                  <td>{number(row.differences)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </>
  );
}
