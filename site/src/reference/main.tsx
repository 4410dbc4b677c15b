/** The reference: all public names by room, and the examples. */

import { hasApi, rooms } from 'virtual:exports';
import { useMemo, useState } from 'preact/hooks';
import { mount } from '../shell/shell.js';
import { Examples } from './Examples.js';
import './reference.css';

const COUNT = rooms.reduce((n, { exports }) => n + exports.length, 0);

function Names() {
  const [text, setText] = useState('');
  const found = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    return rooms
      .map(({ room, exports }) => ({
        room,
        exports: exports.filter(
          ({ name, summary }) =>
            name.toLowerCase().includes(wanted) || summary.toLowerCase().includes(wanted),
        ),
      }))
      .filter(({ exports }) => exports.length > 0);
  }, [text]);
  const isSearch = text.trim() !== '';
  return (
    <section aria-label="Names">
      <h2>Names</h2>
      <label>
        Find a name or a word of its description{' '}
        <input
          type="search"
          name="find"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <p role="status">
        {isSearch
          ? `${found.reduce((n, { exports }) => n + exports.length, 0)} of ${COUNT} names`
          : `${COUNT} names in ${rooms.length} rooms`}
      </p>
      {found.map(({ room, exports }) => (
        <details key={`${room}-${isSearch}`} open={isSearch}>
          <summary>
            <code>flatlora/{room}</code>, {exports.length}
          </summary>
          <dl>
            {exports.map(({ name, kind, signature, summary, file, line }) => (
              <div key={name} class="name" id={`${room}.${name}`}>
                <dt>
                  <code>{name}</code> <span class="quiet">{kind}</span>
                </dt>
                <dd>
                  {summary !== '' && <p>{summary}</p>}
                  <p>
                    <code class="signature">{signature}</code>
                  </p>
                  <p class="quiet">
                    {file}, line {line}
                  </p>
                </dd>
              </div>
            ))}
          </dl>
        </details>
      ))}
    </section>
  );
}

function Reference() {
  return (
    <>
      <h1>Reference</h1>
      <p class="lead">
        Every public name with its signature and the first sentence of what its source says; the
        examples run in this page.
        {hasApi && (
          <>
            {' '}
            The <a href="api/index.html">whole reference</a> has every argument and error.
          </>
        )}
      </p>
      <Examples />
      <Names />
    </>
  );
}

mount('reference', Reference);
